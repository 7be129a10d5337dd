import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given

from esa_preload_operator.resources import crd
from esa_preload_operator.resources.crd import crd_yaml, custom_resource_definition
from esa_preload_operator.resources.job import Condition, CreatingStatus, ExecutionStatus, ResetStatus, Status
from esa_preload_operator.resources.parts import Part
from support.statuses import (
    CONDITION_FIELDS,
    CREATING_FIELDS,
    EXECUTION_FIELDS,
    RESET_FIELDS,
    STATUS_FIELDS,
    statuses,
)

ROOT = Path(__file__).parents[3]
CHECKED_IN = ROOT / "crds" / "esa.preload-operator.io_scheduledpreloadjobs.yaml"


def _version() -> dict[str, Any]:
    version: dict[str, Any] = custom_resource_definition()["spec"]["versions"][0]
    return version


def _schema(*path: str) -> dict[str, Any]:
    schema: dict[str, Any] = _version()["schema"]["openAPIV3Schema"]
    for name in path:
        schema = schema["properties"][name]
    return schema


def _nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _nodes(schema[key], f"{path}[]")


def _all_nodes() -> list[tuple[str, dict[str, Any]]]:
    return list(_nodes(_schema(), ""))


def test_the_checked_in_file_is_the_generated_one() -> None:
    assert CHECKED_IN.read_text() == crd_yaml(), "run `make crds`"


def test_the_module_prints_the_file() -> None:
    command = [sys.executable, "-m", "esa_preload_operator.resources.crd"]
    done = subprocess.run(command, cwd=ROOT / "operator", capture_output=True, check=True)
    assert done.stdout.decode() == crd_yaml()


def test_the_file_is_the_value_and_says_that_it_is_generated() -> None:
    assert yaml.safe_load(crd_yaml()) == custom_resource_definition()
    assert crd_yaml().startswith("# Generated from ")


def test_every_field_is_described() -> None:
    def silent(path: str, schema: dict[str, Any]) -> bool:
        return not schema.get("description") and not path.endswith("[]")

    assert [path for path, schema in _all_nodes() if silent(path, schema)] == [".metadata"]


def test_every_node_is_structural() -> None:
    for path, schema in _all_nodes():
        assert schema["type"] in {"object", "array", "string", "integer", "boolean"}, path
        assert not {"$ref", "anyOf", "title", "nullable", "const", "$defs"} & set(schema), path


def test_every_integer_has_a_format() -> None:
    wrong = [
        path
        for path, node in _all_nodes()
        if node["type"] == "integer" and node.get("format") not in {"int32", "int64"}
    ]
    assert wrong == []


def test_rules_stand_on_the_spec_or_below_and_nowhere_else() -> None:
    ruled = [path for path, schema in _all_nodes() if "x-kubernetes-validations" in schema]
    assert ruled
    assert all(path == ".spec" or path.startswith(".spec.") for path in ruled)


def test_every_rule_names_its_field() -> None:
    for path, schema in _nodes(_schema("spec"), ""):
        for rule in schema.get("x-kubernetes-validations", []):
            field = rule.get("fieldPath", path).rpartition(".")[2].removesuffix("[]")
            assert field in rule["message"]


def test_nothing_in_the_status_restricts_a_value_but_in_conditions() -> None:
    restricting = {"enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "required"}
    nodes = [(path, node) for path, node in _nodes(_schema("status"), "") if not path.startswith(".conditions")]
    assert [path for path, node in nodes if restricting & set(node)] == [".executions[]"]
    assert _schema("status", "executions")["items"]["required"] == ["name"]  # as the key of a list needs it


def test_only_times_of_our_own_clock_must_be_times() -> None:
    times = [path for path, node in _nodes(_schema("status"), "") if node.get("format") == "date-time"]
    assert times == [
        ".refreshedAt",
        ".reset.startedAt",
        ".reset.finishedAt",
        ".lastResetTime",
        ".nextResetTime",
        ".conditions[].lastTransitionTime",
    ]


def test_conditions_follow_the_schema_of_metav1() -> None:
    condition = _schema("status", "conditions")["items"]
    assert condition["required"] == ["type", "status", "lastTransitionTime", "reason", "message"]
    assert condition["properties"]["status"]["enum"] == ["True", "False", "Unknown"]
    assert condition["properties"]["message"]["maxLength"] == 32768


def test_defaults_are_those_that_say_something() -> None:
    defaults = {path: node["default"] for path, node in _all_nodes() if "default" in node}
    conditions = defaults.pop(".status.conditions")
    assert [each["reason"] for each in conditions] == ["Pending", "Pending"]
    assert defaults == {
        ".spec.minResetInterval": "0s",
        ".spec.suspend": False,
        ".spec.executions[].onReset": False,
        ".spec.resetSchedule.timeZone": "UTC",
        ".spec.resetSchedule.startingDeadlineSeconds": 3600,
        ".status": {},
    }


def test_a_keyword_that_no_structural_schema_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(Part):
        field: int | str

    monkeypatch.setattr(crd, "ScheduledPreloadJob", Odd)
    with pytest.raises(ValueError, match="alternatives"):
        custom_resource_definition()

    class Constant(Part):
        field: Literal["one"]

    monkeypatch.setattr(crd, "ScheduledPreloadJob", Constant)
    with pytest.raises(ValueError, match=r"\.field: a structural schema has no keyword const"):
        custom_resource_definition()


@given(statuses)
def test_a_status_is_read_as_it_was_written(status: Status) -> None:
    dumped = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert Status.model_validate(dumped) == status


def test_the_strategy_knows_every_field_of_the_status() -> None:
    known = (
        (Status, STATUS_FIELDS),
        (ResetStatus, RESET_FIELDS),
        (CreatingStatus, CREATING_FIELDS),
        (ExecutionStatus, EXECUTION_FIELDS),
        (Condition, CONDITION_FIELDS),
    )
    for model, fields in known:
        assert set(fields) == set(model.model_fields)


def test_a_condition_that_somebody_else_wrote_is_still_read() -> None:
    stranger = {"type": "?", "status": "Maybe", "lastTransitionTime": "once", "reason": "", "message": "m" * 40_000}
    assert Condition.model_validate(stranger).status == "Unknown"
