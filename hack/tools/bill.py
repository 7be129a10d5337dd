"""The bill of materials: what the image installs, as CycloneDX, the same bytes each time."""

import json
import re
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_PINNED: Final = re.compile(r"(?m)^([\w.-]+)==([^ ;\\]+)")


def bill_of_materials(name: str, version: str, requirements: str) -> str:
    """Return the bill as JSON; `requirements` is the text of a file that pins everything."""
    root = Component(type=ComponentType.APPLICATION, name=name, version=version, bom_ref=name)
    parts = [_component(*found) for found in _PINNED.findall(requirements)]
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{name} {version} {requirements}"), components=parts)
    bom.metadata.component = root
    bom.register_dependency(root, parts)
    bill: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    bill["metadata"].pop("timestamp", None)
    return json.dumps(bill, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _component(name: str, version: str) -> Component:
    return Component(
        name=name, version=version, purl=PackageURL("pypi", name=name, version=version), bom_ref=f"{name}@{version}"
    )
