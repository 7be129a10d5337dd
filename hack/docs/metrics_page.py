"""Every metric, from the registry that /metrics shows."""

from collections.abc import Mapping
from typing import Any, Final

from esa_preload_operator.domain.reset_writes import SCHEDULED, TRIGGER
from esa_preload_operator.runtime.metrics import CREATES, OUTCOMES, RESULTS, Metrics
from esa_preload_operator.services.counting import WINDOW_STATES
from esa_preload_operator.services.writer import UNPROVEN
from tables import code, table

_VALUES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("esa_operator_reconcile", "result"): RESULTS,
    ("esa_operator_reconcile_duration_seconds", "result"): RESULTS,
    ("esa_operator_resets", "outcome"): OUTCOMES,
    ("esa_operator_resets", "trigger"): (TRIGGER, SCHEDULED),
    ("esa_operator_resets_undecidable", "why"): (UNPROVEN,),
    ("esa_operator_creates", "outcome"): CREATES,
    ("esa_operator_windows", "state"): WINDOW_STATES,
}
_LABELS: Final = {
    "action": "the operation of ESA, or of STS or ECS",
    "code": "`OK`, or the error's code",
    "reason": "a [reason](events-and-conditions.md#reasons) of Ready",
    "version": "the operator's",
    "python": "its Python's",
    "watched_namespace": "a namespace, or `*`",
}


def made() -> str:
    """Return a table of all metrics of the operator."""
    metrics = Metrics("")
    metrics.watch_gauges(depth=float, unfinished=float, longest=float, resources=float, tallies=tuple)
    own = (each for each in vars(metrics).values() if hasattr(each, "_labelnames"))
    found = {each._name: each for each in (*own, *_of(metrics.registry)) if each._name.startswith("esa_operator_")}  # noqa: SLF001 - the library tells labels nowhere else
    rows = (
        (code(name + _SUFFIX.get(each._type, "")), each._type, each._documentation, _labels(each))  # noqa: SLF001 - the same
        for name, each in sorted(found.items())
    )
    return table(("Name", "Type", "Meaning", "Labels"), rows)


_SUFFIX: Final = {"counter": "_total", "info": "_info"}


def _of(registry: Any) -> list[Any]:
    """Return what is registered."""
    return [each for each in registry._collector_to_names if hasattr(each, "_labelnames")]  # noqa: SLF001 - the same


def _labels(metric: Any) -> str:
    names = ("version", "python") if metric._type == "info" else metric._labelnames  # noqa: SLF001 - the same
    return "; ".join(f"{code(name)}: {_said(metric._name, name)}" for name in names)  # noqa: SLF001 - the same


def _said(metric: str, label: str) -> str:
    values = _VALUES.get((metric, label))
    return _LABELS[label] if values is None else ", ".join(code(each) for each in values)
