"""The manifests that people are shown: in pages, and in files beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = sorted(
    path
    for path in (ROOT / "deploy" / "examples").rglob("*.yaml")
    if path.name != "kustomization.yaml" and path.parent.name != "url-list"  # the latter needs its pipeline first
)
PAGES: Final = (ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))


def shown_in(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, or those in the blocks of a page; parts of objects are left out."""
    text = path.read_text()
    blocks = re.findall(r"(?ms)^ *```yaml\n(.*?)```", text) if path.suffix == ".md" else [text]
    found = [each for block in blocks for each in yaml.safe_load_all(block) if each]
    return [each for each in found if "kind" in each]
