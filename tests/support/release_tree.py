"""A clone of the repository to make releases from."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from support.chart import ROOT

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY: Final = {
    f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


def git(tree: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=tree, env={**os.environ, **IDENTITY}, capture_output=True, text=True, check=True
    )
    return done.stdout


def cloned(target: Path) -> Path:
    """Clone the repository, with what is not committed yet."""
    git(ROOT, "clone", "--quiet", str(ROOT), str(target))
    for name in git(ROOT, "diff", "--name-only", "--diff-filter=d", "HEAD").split():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
        git(target, "add", name)
    return target
