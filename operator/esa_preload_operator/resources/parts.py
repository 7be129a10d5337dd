"""What the parts of the resource have in common: their base, numbers and times with a format, rules."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
Int32 = Annotated[int, Field(json_schema_extra={"format": "int32"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

OBJECT_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""Names of Secrets and ConfigMaps."""

DURATION: Final = r"^(0|([0-9]{1,3}([.][0-9]+)?h|[0-9]{1,7}([.][0-9]+)?(m|s|ms|us|ns))+)$"
"""Durations that are not negative and too short to overflow, as a regular expression of CEL."""


class Part(BaseModel):
    """A part of the resource: lowerCamelCase on the wire, snake_case here."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def rule(expression: str, message: str, field: str = "") -> JsonDict:
    """Return a rule in CEL; `field` is the one that it is about, if it stands on what holds the field."""
    found: JsonDict = {"rule": expression, "message": message}
    if field:
        found["fieldPath"] = f".{field}"
    return found
