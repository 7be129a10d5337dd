"""What the alerts and the dashboard ask of Prometheus, and what is there to be asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "monitoring"
SCRAPED: Final = frozenset({"namespace", "pod", "job"})
"""Labels that a scrape adds."""

_METRIC: Final = re.compile(r"\b(?:esa_operator|process|python)_\w+")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_LEGEND: Final = re.compile(r"\{\{(\w+)\}\}")
_TEMPLATE: Final = re.compile(r"\$labels\.(\w+)")


def alerts() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    return rules


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return found


def queries() -> Iterator[tuple[str, str, str]]:
    """Yields where a query stands, the query, and the texts that use its labels."""
    for rule in alerts():
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()  # type: ignore[union-attr]
            yield variable["name"], f"count by ({label}) ({metric})", ""


def asked_of(query: str, texts: str) -> tuple[set[str], set[str]]:
    """Return the metrics and the labels that a query names."""
    labels = {label.strip() for group in _GROUPING.findall(query) for label in group.split(",")}
    labels |= {*_MATCHER.findall(query), *_LEGEND.findall(texts), *_TEMPLATE.findall(texts)}
    return set(_METRIC.findall(query)), labels


def exported(text: str) -> dict[str, set[str]]:
    """Return the labels of each sample name in Prometheus' text format."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def unanswerable(text: str) -> list[str]:
    """Say which queries name what /metrics does not have."""
    there = exported(text)
    wrong = []
    for where, query, texts in queries():
        metrics, labels = asked_of(query, texts)
        assert metrics, where
        known = SCRAPED.union(*(there.get(metric, set()) for metric in metrics))
        wrong += [f"{where}: there is no metric {metric}" for metric in sorted(metrics - set(there))]
        wrong += [f"{where}: no metric of it has a label {label}" for label in sorted(labels - known)]
    return wrong
