"""The CustomResourceDefinition, made from the types of this package.

`python -m esa_preload_operator.resources.crd` prints it.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

import yaml

from esa_preload_operator.resources.job import (
    CATEGORY,
    GROUP,
    KIND,
    PLURAL,
    SHORT_NAME,
    SINGULAR,
    VERSION,
    ScheduledPreloadJob,
)

Schema = dict[str, Any]

HEADER: Final = "# Generated from operator/esa_preload_operator/resources/ by `make crds`. Do not edit.\n"

_KEPT: Final = frozenset(
    {
        "type",
        "format",
        "description",
        "default",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "required",
        "items",
        "properties",
        "additionalProperties",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
    }
)
"""The keywords that our types use and that a structural schema may hold."""

_TYPE_META: Final = {
    "apiVersion": {
        "type": "string",
        "description": "Version of the schema that this object follows, such as esa.preload-operator.io/v1alpha1.",
    },
    "kind": {"type": "string", "description": "ScheduledPreloadJob."},
    "metadata": {"type": "object"},  # the API server knows and describes its fields
}


def custom_resource_definition() -> dict[str, Any]:
    """The CRD as plain JSON values.

    Raises:
        ValueError: a type says something that a structural schema can't hold.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _printer_columns(),
                    "schema": {"openAPIV3Schema": _object_schema()},
                }
            ],
        },
    }


def crd_yaml() -> str:
    """The CRD as the text of the file that is checked in."""
    body = yaml.safe_dump(custom_resource_definition(), sort_keys=False, allow_unicode=True, width=112)
    return HEADER + body


def _printer_columns() -> list[dict[str, Any]]:
    ready = '.status.conditions[?(@.type=="Ready")]'
    return [
        _column("Job", "string", ".status.jobId", "Id of the ESA job"),
        _column("URLs", "integer", ".status.urlCount", "URLs in the list"),
        _column("Submitted", "integer", ".status.urlSubmitted", "URLs submitted since the last reset"),
        _column("Progress", "integer", ".status.progress", "Percent of the URLs submitted"),
        _column("Ready", "string", f"{ready}.status", "Whether the job can be reset"),
        _column("Reset", "string", ".status.reset.phase", "Phase of the reset under way, or of the last one"),
        _column("Last reset", "date", ".status.lastResetTime", "Time since the last reset"),
        _column("Age", "date", ".metadata.creationTimestamp", "Time since the resource was created"),
        _column("Next reset", "string", ".status.nextResetTime", "When a reset is due next", wide=True),
        _column("Suspended", "boolean", ".spec.suspend", "Whether the job rests", wide=True),
        _column("Error", "string", ".status.errorInfo", "What ESA objects to in the list of URLs", wide=True),
        _column("Site", "integer", ".status.siteId", "ESA site of the job", wide=True),
        _column("Request", "string", ".status.requestId", "ESA's id of the last request, for its support", wide=True),
        _column("Message", "string", f"{ready}.message", "Why the job can or can't be reset", wide=True),
    ]


def _column(name: str, kind: str, path: str, description: str, *, wide: bool = False) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return {**column, "priority": 1} if wide else column


def _object_schema() -> Schema:
    raw = ScheduledPreloadJob.model_json_schema(by_alias=True)
    schema = _structural(raw, raw.get("$defs", {}), "")
    schema["properties"] = _TYPE_META | {name: schema["properties"][name] for name in ("spec", "status")}
    schema["required"] = ["spec"]
    return schema


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Schema], path: str) -> Schema:
    merged = _flat(node, definitions)
    schema: Schema = {}
    for key, value in merged.items():
        match key:
            case "title":
                pass
            case "default":
                # None, "" and 0 stand for "not there", which a CRD says by saying nothing.
                if value or value is False or value == {}:
                    schema[key] = value
            case "properties":
                schema[key] = {name: _structural(of, definitions, f"{path}.{name}") for name, of in value.items()}
            case "items" | "additionalProperties":
                schema[key] = _structural(value, definitions, f"{path}[]")
            case _ if key in _KEPT:
                schema[key] = value
            case _:
                message = f"{path or 'the root'}: a structural schema has no keyword {key}"
                raise ValueError(message)
    return {key: schema[key] for key in sorted(schema, key=_reading_order)}


def _flat(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """What pydantic spreads over a reference, an "or null" and the field itself, as one level; the field wins."""
    rest = {key: value for key, value in node.items() if key not in {"$ref", "anyOf", "$defs"}}
    if "$ref" in node:
        return _flat(definitions[node["$ref"].rpartition("/")[2]], definitions) | rest
    if "anyOf" in node:
        options = [option for option in node["anyOf"] if option != {"type": "null"}]
        if len(options) != 1:
            message = "a structural schema has no alternatives of type"
            raise ValueError(message)
        return _flat(options[0], definitions) | rest
    return rest


def _reading_order(key: str) -> tuple[int, str]:
    first = ("description", "type", "format")
    last = ("required", "properties", "items", "additionalProperties")
    if key in first:
        return first.index(key), key
    return (len(first) + 1 + last.index(key), key) if key in last else (len(first), key)


if __name__ == "__main__":
    sys.stdout.write(crd_yaml())
