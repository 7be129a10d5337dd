"""One job on one screen: what was asked, what happened, what comes next, and what to do."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from esa_preload_operator.cli.plugin.advice import advice
from esa_preload_operator.cli.plugin.jobs import Condition, Job, part, text
from esa_preload_operator.cli.plugin.layout import Line, Piece, bar, fit, wrap
from esa_preload_operator.cli.plugin.outcome import End, verdict
from esa_preload_operator.cli.plugin.timeline import said, timeline, windows_of
from esa_preload_operator.cli.plugin.trouble import STYLE, trouble
from esa_preload_operator.cli.plugin.words import ago, counted, span
from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.hints import ignored_requests
from esa_preload_operator.domain.tokens import normalise
from esa_preload_operator.domain.values import OPEN_PHASES
from esa_preload_operator.resources.names import RESET_KEYS

_LABEL = 12
_GOOD_WHEN_FALSE = frozenset({"Reconciling", "Stalled"})
_PLAIN = {
    ("Ready", "True"): "The job can be reset.",
    ("Ready", "False"): "The job can't be reset now",
    ("Ready", "Unknown"): "The operator has not looked at the job yet.",
    ("Reconciling", "True"): "Work is under way",
    ("Stalled", "True"): "Only a change of the resource helps",
    ("UrlsAccepted", "True"): "ESA took all URLs.",
    ("UrlsAccepted", "False"): "ESA did not take all URLs",
    ("Effective", "True"): "A window is open, or will be.",
    ("Effective", "False"): "Nothing will be prefetched",
}


@dataclass(frozen=True, slots=True)
class Event:
    """An Event about the job."""

    when: float | None
    reason: str
    message: str
    warning: bool = False
    count: int = 1


def screenful(job: Job, events: Sequence[Event], now: float, width: int) -> list[Line]:
    """Return everything about a job."""
    found = trouble(job)
    *above, name = wrap(f"{job.ref.namespace}/{job.ref.name}", width - len(found.word) - 2) or [""]
    lines: list[Line] = [(Piece(each, "bold"),) for each in above]
    lines.append((Piece(name, "bold"), Piece("  "), Piece(found.word, STYLE[found.level])))
    lines += _about(job, now, width)
    lines += _section("Asked", _asked(job), width)
    lines += _section("Happened", _happened(job, now), width)
    lines += _progress(job, width)
    lines += _section("Next", _next(job, now), width)
    windows = windows_of(job)
    if windows:
        lines += [(), (Piece("Windows", "bold"),), *timeline(windows, now, width)]
        lines += [(Piece(each),) for one in said(windows, now) for each in wrap(one, width, "  ")]
    lines += _conditions(job.conditions.values(), now, width)
    lines += _events(events, now, width)
    return lines


def _about(job: Job, now: float, width: int) -> list[Line]:
    status = job.status
    made = "created by the operator" if "siteId" in job.spec else "adopted"
    target = text(status.get("jobId") or job.spec.get("jobId") or "none yet")
    name = f", {text(status.get('name'))!r}" if status.get("name") else ""
    words = [f"ESA job {target}{name}, {made}"]
    if status.get("siteId"):
        words.append(f"site {text(status.get('siteId'))}")
    refreshed = job.when("refreshedAt")
    if refreshed is not None:
        words.append(f"numbers from {ago(refreshed, now)}")
    return [(Piece(each, "dim"),) for each in wrap(", ".join(words), width)]


def _section(title: str, sentences: Sequence[str], width: int) -> list[Line]:
    lines: list[Line] = []
    for sentence in sentences:
        for each in wrap(sentence, width - _LABEL):
            label = title.ljust(_LABEL) if not lines else " " * _LABEL
            lines.append((Piece(label, "bold"), Piece(each)))
    return lines


def _asked(job: Job) -> list[str]:
    found = [
        f"Token {fit(text(normalise(job.annotations[key])), 80)!r} by the annotation {key}{_state_of(job, key)}"
        for key in RESET_KEYS
        if job.annotations.get(key)
    ]
    schedule = part(job.spec, "resetSchedule")
    if schedule:
        found.append(f"By schedule: {text(schedule.get('cron'))}, {text(schedule.get('timeZone') or 'UTC')}")
    found += [f"Mind: {each}." for each in ignored_requests(job.annotations, job.labels)]
    return found or ["Nothing yet."]


def _state_of(job: Job, key: str) -> str:
    if job.handled.get(key) == normalise(job.annotations[key]):
        return ", dealt with"
    open_now = job.reset is not None and job.reset.phase in OPEN_PHASES and key in dict(job.reset.tokens)
    return ", under way" if open_now else ", not dealt with yet"


def _happened(job: Job, now: float) -> list[str]:
    reset = job.reset
    last = job.when("lastResetTime")
    told = [f"The job was reset {ago(last, now)} ({format_time(last)})."] if last is not None else []
    if reset is None:
        return told or ["No reset yet."]
    by = " by schedule" if reset.trigger == "Schedule" else ""
    attempts = f", attempt {reset.attempts}" if reset.attempts > 1 else ""
    when = ago(reset.finished if reset.finished is not None else reset.started, now)
    took = ""
    if reset.started is not None and reset.finished is not None:
        took = f" after {span(reset.finished - reset.started)}"
    first = f"Reset{by}: {reset.phase}{took}, {when}{attempts}"
    return [first + (f": {reset.message}" if reset.message else "."), *(told if reset.phase != "Succeeded" else [])]


def _progress(job: Job, width: int) -> list[Line]:
    if job.urls is None:
        return []
    done = job.submitted or 0
    share = f"{done} of {counted(job.urls, 'URL')} submitted"
    drawn = bar(done, job.urls, max(10, min(40, width - _LABEL - len(share) - 2)))
    return [(Piece("Progress".ljust(_LABEL), "bold"), Piece(f"{drawn}  {share}"))]


def _next(job: Job, now: float) -> list[str]:
    if job.deleting:
        return ["The resource is being deleted."]
    found: list[str] = []
    if job.suspended:
        found.append("Suspended: no reset is made and no window opens until `resume`.")
    due = job.when("nextResetTime")
    if due is not None:
        found.append(f"A reset {ago(due, now)} ({format_time(due)}).")
    asked = next((job.annotations[key] for key in RESET_KEYS if job.annotations.get(key)), None)
    if not found and asked is not None and verdict(job, asked).end is End.OPEN:
        found.append("The operator deals with the request.")
    return found or ["A reset when somebody asks for it."]


def _conditions(conditions: Collection[Condition], now: float, width: int) -> list[Line]:
    lines: list[Line] = [(), (Piece("Conditions", "bold"),)]
    ready = next((each for each in conditions if each.type == "Ready"), None)
    for each in conditions:
        good = (each.status == "False") == (each.type in _GOOD_WHEN_FALSE)
        if each.type in _GOOD_WHEN_FALSE and good:
            continue  # says nothing that Ready does not
        style = "good" if good else "busy" if each.status == "Unknown" or each.type == "Reconciling" else "bad"
        since = f", since {span(now - each.since)}" if each.since is not None and each.since > 0 else ""
        lines.append((Piece("  "), Piece(each.type, style), Piece(f" is {each.status}{since}", "dim")))
        if ready is not None and each.type in _GOOD_WHEN_FALSE and each.reason == ready.reason:
            lines += [(Piece(f"    {_PLAIN[each.type, 'True']}."),)]
            continue
        lines += [(Piece(text),) for text in wrap(_in_words(each), width, "    ")]
        if not good and (todo := advice(each.reason)):
            lines += [(Piece(text, "bold"),) for text in wrap(f"To do: {todo}", width, "    ")]
    return lines


def _in_words(condition: Condition) -> str:
    meant = _PLAIN.get((condition.type, condition.status), "")
    why = condition.why if condition.message else condition.reason
    if not meant:
        return why
    return meant if meant.endswith(".") and not condition.message else f"{meant.rstrip('.')}. {why}"


def _events(events: Sequence[Event], now: float, width: int) -> list[Line]:
    if not events:
        return []
    lines: list[Line] = [(), (Piece("Last Events", "bold"),)]
    for each in events:
        times = f" (x{each.count})" if each.count > 1 else ""
        head = f"  {ago(each.when, now):>9}  "
        style = "busy" if each.warning else ""
        first, *rest = wrap(f"{each.reason}{times}: {each.message}", width - len(head)) or [""]
        lines.append((Piece(head, "dim"), Piece(first, style)))
        lines += [(Piece(" " * len(head)), Piece(more, style)) for more in rest]
    return lines
