"""Every field of the resource, from the CRD that its types make."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from esa_preload_operator.resources.crd import custom_resource_definition
from esa_preload_operator.resources.names import FINALIZER, RESET_KEY, RESET_KEY_PREFIXED
from tables import code, table

Schema = Mapping[str, Any]

_BOUNDS: Final = (
    ("Length", "minLength", "maxLength"),
    ("Value", "minimum", "maximum"),
    ("Entries", "minItems", "maxItems"),
)
_NAMES: Final = (
    (code(RESET_KEY), "annotation", "Any token asks for a reset; each new one is one request."),
    (code(RESET_KEY_PREFIXED), "annotation", "The same, for tools."),
    (code(FINALIZER), "finalizer", "Keeps a resource until the ESA job that was created for it is deleted."),
)


_WORDS: Final = {"date-time": "string (RFC 3339)", "int32": "integer (32 bits)", "int64": "integer (64 bits)"}


def made() -> str:
    """Return all fields of spec and status, what stands in the metadata, and the columns of kubectl."""
    version = custom_resource_definition()["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [part for name in ("spec", "status") for part in _sections(name, schema["properties"][name])]
    columns = (
        (each["name"].upper(), "-o wide" if each.get("priority") else "", code(each["jsonPath"]), each["description"])
        for each in version["additionalPrinterColumns"]
    )
    parts.append("## Annotations and finalizer\n\n" + table(("Name", "Kind", "Meaning"), _NAMES))
    parts.append("## Columns of kubectl\n\n" + table(("Column", "With", "Value", "Meaning"), columns))
    return "\n".join(parts)


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """Yield a table of the fields of an object, then those of the objects in it."""
    level = "##" if "." not in path else "###"
    fields = schema["properties"]
    needed = schema.get("required", ())
    rows = ((_name(name, name in needed), _type(path, name, of), _meaning(of)) for name, of in fields.items())
    head = f"{level} {path}\n\n{schema.get('description', '')}\n\n"
    yield head + table(("Field", "Type", "Meaning"), rows) + _rules(schema)
    for name, of in fields.items():
        inner = of.get("items", of)
        if "properties" in inner:
            yield from _sections(f"{path}.{name}{'[]' if 'items' in of else ''}", inner)


def _name(name: str, needed: bool) -> str:
    return f"{code(name)}{', required' if needed else ''}"


def _type(path: str, name: str, schema: Schema) -> str:
    kind: str = schema["type"]
    if kind == "array":
        inner = schema["items"]
        below = f"{path}.{name}[]"
        of = _link(below) if "properties" in inner else inner["type"]
        return f"list of {of}"
    if "properties" in schema:
        return _link(f"{path}.{name}")
    if "additionalProperties" in schema:
        return f"map of {schema['additionalProperties']['type']}"
    said = (
        " or ".join(code(each) for each in schema["enum"])
        if "enum" in schema
        else _WORDS.get(str(schema.get("format")), kind)
    )
    default = schema.get("default")
    return said if default is None else f"{said}, by default {code(_json(default))}"


def _json(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _link(path: str) -> str:
    slug = "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_")
    return f"[{path.rpartition('.')[2].removesuffix('[]')}](#{slug})"


def _meaning(schema: Schema) -> str:
    said = [schema.get("description", ""), *_judged(schema)]
    if "items" in schema and "properties" not in schema["items"]:
        said += [f"Each: {each[0].lower()}{each[1:]}" for each in _judged(schema["items"])]
    return " ".join(each for each in said if each)


def _judged(schema: Schema) -> Iterator[str]:
    """Yield what the API server checks."""
    for word, least, most in _BOUNDS:
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            yield f"{word} {low} to {high}."
        elif high is not None:
            yield f"{word} at most {high}."
        elif low is not None:
            yield f"{word} at least {low}."
    if "pattern" in schema:
        yield f"Pattern {code(schema['pattern'])}."
    if "properties" not in schema:
        rules = (each["message"] for each in schema.get("x-kubernetes-validations", ()))
        yield from (
            f"Rule: {message}." for message in rules if " is immutable" not in message
        )  # the description says so


def _rules(schema: Schema) -> str:
    rules = [f"- {each['message']}" for each in schema.get("x-kubernetes-validations", ())]
    return "\nRules:\n\n" + "\n".join(rules) + "\n" if rules else ""
