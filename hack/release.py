"""Makes what a release consists of, the same bytes each time: wheel, sdist, kubectl plugin, chart, install.yaml, sums.

Only files that Git knows count, and the time of the last commit is the time of everything (`SOURCE_DATE_EPOCH` names
another). Where the image lies, and its digest, go into the chart and into install.yaml.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "hack" / name) for name in ("control-plane", "tools")]

import yaml  # noqa: E402 - the path comes first

import pyz  # noqa: E402 - the same
from bill import BillError, bill_of_materials  # noqa: E402 - the same
from build import binaries  # noqa: E402 - the same
from chart import readme_of  # noqa: E402 - the same
from gobuild import BuildError  # noqa: E402 - the same
from tools import tool  # noqa: E402 - the same

NAME: Final = "esa-preload-operator"
CHART: Final = Path("deploy") / "helm" / NAME
SUMS: Final = "SHA256SUMS"
_IMAGE: Final = re.compile(r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ReleaseError(RuntimeError):
    """The release can't be made; the message says why."""


@dataclass(frozen=True)
class Release:
    """What is released, and where people will find it."""

    source: Path
    """A copy of the tree."""
    version: str
    epoch: int
    image: str = NAME
    digest: str = ""
    home: str = ""
    """Address of the repository, where it is known."""

    @property
    def image_reference(self) -> str:
        """The image as a pod names it."""
        return f"{self.image}:{self.version}" + (f"@{self.digest}" if self.digest else "")

    def make(self, folder: Path) -> None:
        """Write all files."""
        self._python(folder)
        self._plugin(folder)
        self._chart(folder)
        self._manifests(folder)
        self._bill_of_materials(folder)
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
        (folder / SUMS).write_text("".join(lines), encoding="utf-8")

    # --- the parts ----------------------------------------------------------------------------------------------

    def _python(self, folder: Path) -> None:
        self._run(sys.executable, "-m", "hatchling", "build", "--directory", str(folder))

    def _plugin(self, folder: Path) -> None:
        """Make the kubectl plugin as one file; krew's manifest needs an address, so there is none without a home."""
        program = pyz.make(self.source, folder, self.version, self.epoch)
        archive = pyz.make_archive(program, self.source / "LICENSE", folder, self.version, self.epoch)
        if self.home:
            template = (self.source / pyz.KREW).read_text(encoding="utf-8")
            made = pyz.manifest(template, archive, self.version, self.home)
            (folder / pyz.KREW.name).write_text(made, encoding="utf-8")

    def _chart(self, folder: Path) -> None:
        chart = self.source / CHART
        values = chart / "values.yaml"
        registry, repository = _split(self.image)
        _edit(values, r'(?m)^(  registry: )""$', registry or '""')
        _edit(values, r"(?m)^(  repository: ).*$", repository)
        if self.digest:
            _edit(values, r'(?m)^(  digest: )""$', self.digest)
        _edit(chart / "Chart.yaml", r"(?m)^(      image: ).*$", self.image_reference)
        if self.home:
            _edit(values, r"(?m)^(    runbookUrl: ).*$", f"{self.home}/blob/v{self.version}/docs/runbooks.md")
            self._say_where_from(chart / "Chart.yaml")
        head = (self.source / "hack" / "tools" / "chart-readme.md").read_text(encoding="utf-8")
        (chart / "README.md").write_text(readme_of(values.read_text(encoding="utf-8"), head), encoding="utf-8")
        # Helm 4 keeps to SOURCE_DATE_EPOCH, Helm 3 does not.
        self._run(str(tool("helm4")), "package", str(chart), "--destination", str(folder))

    def _say_where_from(self, about: Path) -> None:
        places = {
            "Documentation": f"/tree/v{self.version}/docs",
            "Changes": "/blob/main/CHANGELOG.md",
            "Support": "/issues",
        }
        links = "".join(f"    - name: {name}\n      url: {self.home}{path}\n" for name, path in places.items())
        _edit(about, r"(?m)^(annotations:\n)", f"  artifacthub.io/links: |\n{links}")
        _edit(about, r"(?m)^(- name: The maintainers of .*\n)", f"  url: {self.home}\n")
        with about.open("a", encoding="utf-8") as file:
            file.write(yaml.safe_dump({"home": self.home, "sources": [self.home]}))

    def _manifests(self, folder: Path) -> None:
        image = {"name": NAME, "newName": self.image, "newTag": self.version}
        overlay = {"resources": ["../base"], "images": [image | ({"digest": self.digest} if self.digest else {})]}
        place = self.source / "deploy" / "kustomize" / "release"
        place.mkdir()
        (place / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
        built = self._run(str(binaries() / "kubectl"), "kustomize", str(place))
        title = f"# {NAME} {self.version} for all namespaces: kubectl apply -f install.yaml\n"
        (folder / "install.yaml").write_text(title + built, encoding="utf-8")

    def _bill_of_materials(self, folder: Path) -> None:
        path = folder / f"{NAME}-{self.version}.cdx.json"
        path.write_text(bill_of_materials(self.source), encoding="utf-8")

    def _run(self, *command: str) -> str:
        with tempfile.TemporaryDirectory() as home:
            given = {"SOURCE_DATE_EPOCH": str(self.epoch), "HOME": home, "LC_ALL": "C.UTF-8"}
            environment = {"PATH": os.environ["PATH"], **given}
            done = subprocess.run(
                command, cwd=self.source, env=environment, capture_output=True, text=True, check=False
            )
        if done.returncode != 0:
            raise ReleaseError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-3000:]}")
        return done.stdout


def _split(image: str) -> tuple[str, str]:
    """Return the registry, or nothing, and the repository of an image, as container runtimes tell them apart."""
    host, _, rest = image.partition("/")
    return (host, rest) if rest and (host == "localhost" or set(".:") & set(host)) else ("", image)


def _edit(path: Path, pattern: str, value: str) -> None:
    """Put a value behind the pattern's first group, which must be found once."""
    text, count = re.subn(pattern, lambda found: found[1] + value, path.read_text(encoding="utf-8"))
    if count != 1:
        raise ReleaseError(f"{path.name}: {pattern} was found {count} times")
    path.write_text(text, encoding="utf-8")


# --- the tree -------------------------------------------------------------------------------------------------------


def _git(*words: str) -> str:
    done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _version(tag: str | None) -> str:
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if tag and tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag}, and the version in pyproject.toml {version}")
    return version


def _copy_of_the_tree(target: Path) -> None:
    for name in filter(None, _git("ls-files", "-z").split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target / name)


def _replace(folder: Path, made: Path) -> None:
    """Put the new files in the place of an earlier release's; files of others stay."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / SUMS).is_file():
        for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
            (folder / Path(line.split(maxsplit=1)[1]).name).unlink(missing_ok=True)
    for path in sorted(made.iterdir()):
        shutil.copyfile(path, folder / path.name)


def _arguments(words: list[str]) -> argparse.Namespace:
    def form(pattern: re.Pattern[str]) -> argparse._ActionType:
        def checked(value: str) -> str:
            if value and not pattern.fullmatch(value):
                raise argparse.ArgumentTypeError(f"{value!r} must look like {pattern.pattern}")
            return value

        return checked

    parser = argparse.ArgumentParser(prog="release", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "dist")
    parser.add_argument("--image", type=form(_IMAGE), help="registry and name, without a tag; the chart's by default")
    parser.add_argument("--digest", type=form(_DIGEST), help="digest of the image")
    parser.add_argument("--home", help="address of the repository: where the chart says it is from, and its runbooks")
    parser.add_argument("--tag", help="the Git tag of the release, which must fit the version")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Make the files and name them."""
    given = _arguments(words)
    try:
        version = _version(given.tag)
        if _git("status", "--porcelain"):
            print("release: there are changes that are not committed", file=sys.stderr)
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))
        with tempfile.TemporaryDirectory() as temporary:
            source, made = Path(temporary) / "source", Path(temporary) / "made"
            made.mkdir()
            _copy_of_the_tree(source)
            home = (given.home or "").rstrip("/")
            Release(source, version, epoch, given.image or NAME, given.digest or "", home).make(made)
            _replace(given.folder, made)
    except (ReleaseError, BuildError, BillError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print((given.folder / SUMS).read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
