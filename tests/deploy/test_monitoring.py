"""Alerts that fire when they should and only then, with runbooks, and queries that ask for what there is."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from esa_preload_operator.domain.errors import ErrorClass, Reason
from esa_preload_operator.esa import codes
from esa_preload_operator.runtime.health import WATCH_SILENCE
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.services.counting import Tally
from support.queries import FOLDER, alerts, dashboard, queries, unanswerable
from tools import BuildError, tool

if TYPE_CHECKING:
    from collections.abc import Sequence

TALLY = Tally("Creating", unready_since=0.0, windows=("Refused",))
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="session")
def promtool() -> Path:
    try:
        return tool("promtool")
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)


def run(promtool: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *args], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)


def test_alerts_fire_when_they_should_and_only_then(promtool: Path) -> None:
    done = run(promtool, "test", "rules", "alerts_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_to_be_silent_when_nothing_is_wrong() -> None:
    names = {rule["alert"] for rule in alerts()}
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    calm = {each["alertname"] for each in tests[0]["alert_rule_test"]}
    assert fired == calm == names
    assert not any(each["exp_alerts"] for each in tests[0]["alert_rule_test"])


def test_every_query_is_valid(promtool: Path, tmp_path: Path) -> None:
    made = {"$__rate_interval": "5m", "$__range": "1h", "$namespace": "esa"}
    rules = []
    for number, (_, query, _) in enumerate(queries()):
        for name, value in made.items():
            query = query.replace(name, value)  # noqa: PLW2901 - Grafana does the same
        assert "$" not in query
        rules.append({"record": f"query:{number}", "expr": query})
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = run(promtool, "check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_metrics_are_named_as_prometheus_wants_it(promtool: Path) -> None:
    done = subprocess.run(
        [promtool, "check", "metrics"], input=Metrics("1").text(), capture_output=True, timeout=60, check=False
    )
    complaints = [line for line in (done.stdout + done.stderr).decode().splitlines() if "esa_operator_" in line]
    assert complaints == []


def test_queries_name_what_the_metrics_module_makes() -> None:
    metrics = Metrics("1")
    metrics.watch_gauges(
        depth=lambda: 0, unfinished=lambda: 0, longest=lambda: 0, resources=lambda: 0, tallies=lambda: [TALLY]
    )
    metrics.called("GetScheduledPreloadJob", "OK", 0.1)
    metrics.worked(0.1, "success")
    assert unanswerable(metrics.text().decode()) == []


def test_a_query_for_what_is_not_there_is_noticed() -> None:
    text = Metrics("1").text().decode()
    missing = unanswerable(text.replace("esa_operator_leader", "esa_operator_chief").replace("outcome=", "result="))
    assert "EsaPreloadNobodyLeads: there is no metric esa_operator_leader" in missing
    assert "EsaPreloadResetsFailing: no metric of it has a label outcome" in missing


def codes_in(alert: str) -> Sequence[str]:
    rule = next(each for each in alerts() if each["alert"] == alert)
    return [pattern.replace("\\\\", "\\") for pattern in re.findall(r'code=~"([^"]*)"', rule["expr"])]


@pytest.mark.parametrize(
    ("alert", "reasons"),
    [
        ("EsaPreloadCredentialsFailing", {Reason.ACCESS_DENIED, Reason.CREDENTIALS_INVALID, Reason.ACCOUNT_UNUSABLE}),
        ("EsaPreloadThrottled", {Reason.THROTTLED}),
    ],
)
def test_alerts_by_code_know_every_code_and_no_other(alert: str, reasons: set[Reason]) -> None:
    (pattern,) = codes_in(alert)
    exact = [(code, reason) for code, (_, reason) in codes.EXACT.items()]
    longer = [(beginning + tail, reason) for beginning, (_, reason) in codes.BEGINNINGS for tail in ("", ".Sub")]
    ended = [(head + ending, reason) for ending, (_, reason) in codes.ENDINGS for head in ("Rejected", "Account.Of")]
    for code, reason in [*exact, *longer, *ended, ("OK", Reason.READY), ("Unheard", Reason.ESA_ERROR)]:
        assert bool(re.fullmatch(pattern, code)) == (reason in reasons), code


def test_blocked_errors_raise_an_alert_but_for_a_full_quota_and_codes_that_are_not_known() -> None:
    known = [*codes.EXACT.values(), *(meaning for _, meaning in (*codes.ENDINGS, *codes.BEGINNINGS))]
    assert {reason for error_class, reason in known if error_class is ErrorClass.BLOCKED} == {
        Reason.ACCESS_DENIED,
        Reason.CREDENTIALS_INVALID,
        Reason.ACCOUNT_UNUSABLE,
        Reason.QUOTA_EXCEEDED,
        Reason.ESA_ERROR,
    }


def test_the_silence_of_the_watch_is_judged_as_the_probe_judges_it() -> None:
    rule = next(each for each in alerts() if each["alert"] == "EsaPreloadWatchSilent")
    assert f"> {WATCH_SILENCE:g} and" in rule["expr"]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    headings = re.findall(r"^## (\w+)$", (DOCS / "runbooks.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert set(rule["annotations"]) == {"summary", "description"}  # no address that nobody may own
        assert "{{" not in rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_panels_do_not_overlap_and_choose_no_data_source_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert "$namespace" in json.dumps(panel["targets"])
