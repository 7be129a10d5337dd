"""Asks ESA itself what its documentation leaves open, with a real account and throw-away jobs: docs/open-questions.md.

The access key comes from ALIBABA_CLOUD_ACCESS_KEY_ID, _SECRET and _SECURITY_TOKEN. Exit code: 0 all questions were
asked, whatever the answers; 1 they were not, or a job remains; 2 the command line is wrong; 130 interrupted.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from hack.questions.account import Account, open_account  # noqa: E402 - the same
from hack.questions.answers import Answer, Question, Scene, unclear  # noqa: E402 - the same
from hack.questions.jobs import JOBS, NoJobError  # noqa: E402 - the same
from hack.questions.windows import INTERVAL, WINDOWS  # noqa: E402 - the same

from esa_preload_operator.domain.cleaning import format_time  # noqa: E402 - the path comes first
from esa_preload_operator.domain.errors import EsaError  # noqa: E402 - the same
from esa_preload_operator.esa.credentials import ENV_KEY_ID, Credentials, from_environment  # noqa: E402 - the same
from esa_preload_operator.esa.egress import Egress, read_egress  # noqa: E402 - the same
from esa_preload_operator.esa.endpoint import resolve_endpoint  # noqa: E402 - the same

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


@dataclass
class Run:
    """One run, and what it has found so far."""

    site: int
    endpoint: str
    prefix: str
    questions: Sequence[Question]
    answers: dict[str, Answer] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return everything that may be passed on."""
        rows = [
            {"key": each.key, "question": each.text, "answer": found.word, "evidence": found.evidence}
            for each in self.questions
            if (found := self.answers.get(each.key)) is not None
        ]
        about = {"site": self.site, "endpoint": self.endpoint, "time": format_time(time.time())}
        return {**about, "answers": rows, "left": self.left, "trouble": self.trouble}


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--site", type=int, required=True, metavar="ID", help="id of an ESA site that may be used")
    parser.add_argument(
        "--url", action="append", required=True, help="a small object of that site; at least three different ones"
    )
    parser.add_argument("--endpoint", default="china", help="china (default), international, or a URL")
    parser.add_argument("--without-windows", action="store_true", help="ask only what submits no URL and costs nothing")
    parser.add_argument(
        "--patience", type=float, default=300.0, metavar="SECONDS", help="longest wait for a thing (300)"
    )
    parser.add_argument("--rate", type=float, default=2.0, metavar="CALLS", help="calls per second at most (2)")
    parser.add_argument("--yes", action="store_true", help="do not ask before something is made")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the answers as JSON")
    return parser


def announcement(run: Run, urls: int) -> str:
    """Return what is about to be made, and what that costs."""
    lines = [
        f"Site {run.site} at {run.endpoint}:",
        f"- up to four jobs are made, two at a time; their names begin with {run.prefix}; all are deleted at the end",
        "- a dozen calls ask for errors, and resets are made of these jobs alone",
    ]
    if WINDOWS[0] in run.questions:
        lines += [
            f"- windows are opened for at most an hour; they submit the {urls} URLs up to four times, first one each",
            f"  {INTERVAL} s: each time counts against the prefetch quota, and ESA fetches from the origin",
            "- that takes ten minutes or more",
        ]
    else:
        lines.append("- no window is opened, so nothing is fetched and no quota is used. It takes about a minute")
    return "\n".join(lines)


def confirmed() -> bool:
    """Ask a person; without a terminal nobody has agreed."""
    if not sys.stdin.isatty():
        print("open_questions: nothing was made; --yes agrees without being asked", file=sys.stderr)
        return False
    try:
        return input("Go on? (yes/no) ").strip().lower() == "yes"
    except (EOFError, KeyboardInterrupt):
        return False


async def ask_all(run: Run, account: Account, options: argparse.Namespace) -> None:
    """Ask one question after the other, and delete what was made, also after an interruption."""
    scene = Scene(account, options.url, options.patience)
    try:
        for question in run.questions:
            try:
                found = await question.ask(scene)
            except EsaError as error:
                found = unclear(error.problem.code, error.problem.request_id)
            run.answers[question.key] = found
            print(f"{question.key:<14} {found.word:<8} {found.evidence}", flush=True)
    except NoJobError as error:
        run.trouble = f"the job to ask about could not be made: {error}"
    finally:
        run.left = sorted(account.made)  # what a second interruption leaves behind
        run.left = await account.clean()


async def main_task(run: Run, credentials: Credentials, egress: Egress, options: argparse.Namespace) -> None:
    """Ask all, and let SIGTERM end the run as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with open_account(credentials, run.endpoint, egress, rate=options.rate) as client:
        await ask_all(run, Account(client, run.site, run.prefix), options)


def report(run: Run, output: Path | None) -> None:
    """Print the table, and write the file."""
    print()
    for each in run.questions:
        found = run.answers.get(each.key)
        print(f"{found.word if found is not None else 'not asked':<10} {each.text}")
    if run.trouble:
        print(f"open_questions: {run.trouble}", file=sys.stderr)
    for job_id in run.left:
        print(f"open_questions: job {job_id} could not be deleted: delete it in the console", file=sys.stderr)
    if output is not None:
        output.write_text(json.dumps(run.as_json(), indent=2) + "\n")


def prepared(options: argparse.Namespace, environment: Mapping[str, str]) -> tuple[Run, Credentials, Egress]:
    """Return what a run needs.

    Raises:
        ValueError: something that was given can't be used; the message holds no credential.
    """
    if len(set(options.url)) < 3 or min(options.site, options.patience, options.rate) <= 0:
        raise ValueError("give three different --url, and a --site, --patience and --rate above 0")
    if options.output is not None and not options.output.parent.is_dir():
        raise ValueError(f"there is no folder {options.output.parent}")
    try:
        credentials = from_environment(environment)
    except EsaError as error:
        raise ValueError(error.problem.message) from None
    if credentials is None:
        raise ValueError(f"set {ENV_KEY_ID} and its secret")
    endpoint = resolve_endpoint(options.endpoint, allow_http=False)
    questions = JOBS if options.without_windows else (*JOBS, *WINDOWS)
    run = Run(options.site, endpoint, f"open-questions-{uuid.uuid4().hex[:8]}", questions)
    return run, credentials, read_egress(environment)


def main() -> int:
    """Ask the questions and return the exit code."""
    options = arguments().parse_args()
    try:
        run, credentials, egress = prepared(options, os.environ)
    except ValueError as error:
        print(f"open_questions: {error}", file=sys.stderr)
        return USAGE
    print(announcement(run, len(options.url)), flush=True)
    if not options.yes and not confirmed():
        return FAILED
    interrupted = False
    try:
        asyncio.run(main_task(run, credentials, egress, options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        interrupted = True
    report(run, options.output)
    if interrupted:
        return INTERRUPTED
    return FAILED if run.trouble or run.left else OK


if __name__ == "__main__":
    sys.exit(main())
