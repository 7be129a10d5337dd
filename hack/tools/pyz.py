"""Makes `kubectl esa-preload` one file that any Python from 3.11 on runs, its archive for krew, and krew's manifest.

The libraries come from the environment of this Python, which `requirements-dev.txt` pins by hashes; of PyYAML its
compiled part is left out.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import sys
import tarfile
import time
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = "esa_preload_operator"
PROGRAM: Final = "kubectl-esa_preload.pyz"
KREW: Final = Path("deploy") / "krew" / "esa-preload.yaml"
ROOMS: Final = ("cli/plugin", "domain", "esa", "resources")
"""Of the project only these; `esa` for adopt, where its libraries are installed."""
LIBRARIES: Final = {"rich": "rich/", "PyYAML": "yaml/"}
"""What is packed of whose files."""
_START: Final = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("kubectl-esa_preload needs Python 3.11 or newer, and this is " + sys.version.split()[0])

from esa_preload_operator.cli.plugin.main import main

sys.exit(main())
"""


def make(source: Path, folder: Path, version: str, epoch: int) -> Path:
    """Write the one file; the same source, libraries and epoch give the same bytes."""
    path = folder / PROGRAM
    packed = io.BytesIO()
    packed.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(_files(source, version)):
            about = zipfile.ZipInfo(
                name, time.gmtime(max(epoch, 315_532_800))[:6]
            )  # the year 1980: no earlier in a zip
            about.external_attr = (stat.S_IFREG | 0o644) << 16
            about.create_system = 3  # Unix, wherever it is made
            archive.writestr(about, data, zipfile.ZIP_DEFLATED, 9)
    path.write_bytes(packed.getvalue())
    path.chmod(0o755)
    return path


def _files(source: Path, version: str) -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _START.encode()
    about = f"Metadata-Version: 2.1\nName: esa-preload-operator\nVersion: {version}\n"
    yield f"{PACKAGE}-{version}.dist-info/METADATA", about.encode()
    yield f"{PACKAGE}-{version}.dist-info/LICENSE", (source / "LICENSE").read_bytes()
    top = source / "operator"
    for path in (top / PACKAGE / "__init__.py", top / PACKAGE / "cli" / "__init__.py"):
        yield str(path.relative_to(top)), path.read_bytes()
    for room in ROOMS:
        for path in (top / PACKAGE / room).rglob("*.py"):
            yield path.relative_to(top).as_posix(), path.read_bytes()
    for name, folder in LIBRARIES.items():
        yield from _library(name, folder)


def _library(name: str, folder: str) -> Iterator[tuple[str, bytes]]:
    """Return a library's modules, and its licence, which must go with them."""
    for file in distribution(name).files or ():
        text = file.as_posix()
        if (text.startswith(folder) and text.endswith(".py")) or (".dist-info/" in text and "LICENSE" in text.upper()):
            yield text, Path(str(file.locate())).read_bytes()


def make_archive(program: Path, licence: Path, folder: Path, version: str, epoch: int) -> Path:
    """Write the archive that krew unpacks: the program and the licence."""
    path = folder / f"kubectl-esa_preload-{version}.tar.gz"
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=epoch) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:  # fmt: skip
        for file, name, mode in ((licence, "LICENSE", 0o644), (program, program.name, 0o755)):
            data = file.read_bytes()
            about = tarfile.TarInfo(name)
            about.size, about.mtime, about.mode = len(data), epoch, mode
            archive.addfile(about, io.BytesIO(data))
    return path


def manifest(template: str, archive: Path, version: str, home: str) -> str:
    """Return krew's manifest with the archive's address and checksum."""
    body: dict[str, Any] = yaml.safe_load(template)
    body["spec"]["version"] = f"v{version}"
    body["spec"]["homepage"] = home
    for platform in body["spec"]["platforms"]:
        platform["uri"] = f"{home}/releases/download/v{version}/{archive.name}"
        platform["sha256"] = hashlib.sha256(archive.read_bytes()).hexdigest()
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)


def main() -> int:
    """Make the one file in dist/, or in the folder that is given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    folder.mkdir(parents=True, exist_ok=True)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    print(make(ROOT, folder, version, int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
