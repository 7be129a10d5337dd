#!/usr/bin/env python3
"""Builds the image without a Docker daemon and without an image registry: the base from Debian's packages.

As a script it takes the path of the archive to write and, if wanted, the image's name; say `app.tar localhost/app:1`.
The base and the wheels are kept in the user's cache folder; all else lives in a temporary folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

HERE = Path(__file__).resolve().parent
if str(HERE.parent / "control-plane") not in sys.path:
    sys.path.append(str(HERE.parent / "control-plane"))

from gobuild import user_cache  # noqa: E402 - the path comes first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = HERE.parents[1]
PROGRAMS: Final = ("buildah", "mmdebstrap")
SUITE: Final = "trixie"
PACKAGES: Final = "python3,python3-venv,ca-certificates"
REQUIREMENTS: Final = ("requirements.txt", "requirements-build.txt")
NAME: Final = "localhost/esa-preload-operator:test"
_BASE_NAME: Final = "localhost/base:1"


class ImageError(RuntimeError):
    """The image can't be built; the message is the end of what the failing program said."""


@dataclass(frozen=True)
class Image:
    """An image in a temporary store."""

    buildah: tuple[str, ...]
    name: str

    def config(self) -> dict[str, Any]:
        """Return the configuration that a runtime gets: Entrypoint, Env, User, Labels."""
        found: dict[str, Any] = json.loads(_run(*self.buildah, "inspect", "--type=image", self.name))["OCIv1"]["config"]
        return found

    def files(self) -> Path:
        """Return the folder of the image's files as a container would see them."""
        container = _run(*self.buildah, "from", "--pull-never", self.name).strip()
        return Path(_run(*self.buildah, "mount", container).strip())

    def save(self, archive: Path, name: str = "") -> None:
        """Write it as an archive that Docker and containerd load, under another name if there is one."""
        archive.unlink(missing_ok=True)
        _run(*self.buildah, "push", "--quiet", self.name, f"docker-archive:{archive}:{name or self.name}")


def missing() -> list[str]:
    """Return the names of the programs that a build needs and this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextlib.contextmanager
def built(name: str = NAME, **arguments: str) -> Iterator[Image]:
    """Build the tree's image; the arguments are build arguments. Its store is gone with the context.

    Raises:
        ImageError: a step failed.
    """
    base, wheels = prepare_base(), _wheels()
    with _store() as buildah:
        container = _run(*buildah, "from", "scratch").strip()
        _run(*buildah, "add", "--quiet", container, str(base), "/")
        _run(*buildah, "commit", "--quiet", "--rm", container, _BASE_NAME)
        given = {"BASE": _BASE_NAME, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/mnt", **arguments}
        words = [f"--build-arg={key}={value}" for key, value in given.items()]
        options = ("--isolation=chroot", "--pull-never", "--timestamp=0", f"--volume={wheels}:/mnt:ro")
        _run(*buildah, "bud", *options, *words, f"--tag={name}", str(ROOT))
        yield Image(buildah, name)


@contextlib.contextmanager
def _store() -> Iterator[tuple[str, ...]]:
    with tempfile.TemporaryDirectory(prefix="esa-image-") as folder:
        places = (f"--root={folder}/store", f"--runroot={folder}/run")
        buildah = ("buildah", *places, f"--storage-driver={_storage_driver()}")
        try:
            yield buildah
        finally:
            _run(*buildah, "rm", "--all")  # takes its mounts away, which a folder can't be deleted with


def _storage_driver() -> str:
    """Return `overlay` where it works, which copies less, else `vfs`; STORAGE_DRIVER decides where it is set."""
    if given := os.environ.get("STORAGE_DRIVER"):
        return given
    with tempfile.TemporaryDirectory(prefix="esa-image-") as folder:
        places = (f"--root={folder}/store", f"--runroot={folder}/run")
        probe = ("buildah", *places, "--storage-driver=overlay", "info")
        works = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    return "overlay" if works else "vfs"


# --- what is kept from build to build -------------------------------------------------------------------------------


def prepare_base() -> Path:
    """Return the archive of the base's files, made of Debian's packages.

    Raises:
        ImageError: there is no way to the packages, or no right to unpack them.
    """

    def make(target: Path) -> None:
        _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(target / "base.tar"))

    return _kept("base", f"{SUITE} {PACKAGES} {platform.machine()}", make) / "base.tar"


def _wheels() -> Path:
    def make(target: Path) -> None:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary=:all:")
        tags = [f"--platform=manylinux_2_{minor}_{platform.machine()}" for minor in (17, 28)]
        tags.append(f"--platform=manylinux2014_{platform.machine()}")
        for name in REQUIREMENTS:
            _run(*pip, "--python-version=3.13", *tags, f"--requirement={ROOT / name}", f"--dest={target}")

    contents = "\n".join((ROOT / name).read_text() for name in REQUIREMENTS)
    return _kept("wheels", f"{contents} {platform.machine()}", make)


def _kept(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache; it is made once, whoever asks and however many ask at once."""
    cache = user_cache() / "image"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    with (cache / f"{kind}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the death of the process releases it
        if not target.is_dir():
            with tempfile.TemporaryDirectory(prefix=f"{kind}.", dir=cache, ignore_cleanup_errors=True) as folder:
                ready = Path(folder) / "ready"
                ready.mkdir()
                make(ready)
                ready.rename(target)  # a folder under its final name is complete
    return target


def _run(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-3000:]}")
    return done.stdout


def _main(archive: str, name: str = NAME) -> None:
    if lacking := missing():
        sys.exit(f"image: missing on this machine: {', '.join(lacking)} (Debian has packages of these names)")
    try:
        with built(name) as image:
            image.save(Path(archive).resolve())
    except ImageError as error:
        sys.exit(f"image: {error}")
    sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:3])
