"""Writes files that are made from others, or shows how they have drifted."""

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_compare(files: Mapping[Path, str], root: Path, by: str, *, compare: bool) -> int:
    """Write the files that differ; or, to compare, print how they do. Return 1 if that printed something.

    `by` is the command that heals a difference; paths are shown from `root` on.
    """
    drifted = 0
    for path, wanted in files.items():
        found = path.read_text(encoding="utf-8") if path.is_file() else ""
        if found == wanted:
            continue
        if not compare:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
            continue
        drifted = 1
        name = str(path.relative_to(root))
        after = f"{name} (`{by}`)"
        lines = difflib.unified_diff(found.splitlines(), wanted.splitlines(), name, after, lineterm="", n=1)
        sys.stdout.write("\n".join(lines) + "\n")
    return drifted
