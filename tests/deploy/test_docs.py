"""The pages: what they take from the code is up to date, and they make a site in which no link is broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import conditions_page
import reference
import state_picture
from esa_preload_operator.domain.errors import Reason
from pages import DOCS, ROOT
from unit.protocol.explorer import Explorer
from unit.protocol.scopes import A, Scope
from unit.protocol.world import Left

if TYPE_CHECKING:
    from esa_preload_operator.domain.values import ResetState

SOURCE: Final = "https://git.example.com/team/operator"
LINK: Final = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
_CODE: Final = re.compile(r"(?ms)^ *```.*?^ *```$|`[^`\n]*`")


def built(source: Path, site: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Make a site with the project's configuration, as `make docs` does."""
    flags = ("-q", "-W", "--keep-going", "-n", "-c", str(DOCS))
    command = [sys.executable, "-m", "sphinx", *flags, str(source), str(site)]
    variables = {name: value for name, value in os.environ.items() if name not in {"SOURCE", "TAG"}} | environment
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)


def links_of(page: Path) -> list[tuple[Path, str]]:
    """Return where a page's links inside of the repository lead: files, and anchors in them."""
    found = LINK.findall(_CODE.sub("", page.read_text()))
    return [((page.parent / path).resolve() if path else page, anchor) for path, anchor in found]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    titles = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_pages_make_a_site_without_a_warning_whose_links_lead_to_the_sources(tmp_path: Path) -> None:
    done = built(DOCS, tmp_path, SOURCE=SOURCE, TAG="v1.2.3")
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "credentials.html").read_text()
    assert f'href="{SOURCE}/blob/v1.2.3/deploy/ram/policy.json"' in page
    assert not (tmp_path / "_downloads").exists()
    for made in DOCS.rglob("*.md"):
        assert (tmp_path / made.relative_to(DOCS)).with_suffix(".html").is_file()


def small(folder: Path, *links: str) -> Path:
    """Make pages of which the first has links."""
    docs = folder / "docs"
    docs.mkdir()
    lines = [f"{'!' * link.endswith('.svg')}[text]({link})" for link in links]
    (docs / "index.md").write_text("\n\n".join(("# Title", *lines)) + "\n")
    (docs / "page.md").write_text("---\norphan: true\n---\n# Title\n")
    return docs


def test_without_an_address_of_the_sources_files_go_with_the_site(tmp_path: Path) -> None:
    docs = small(tmp_path, os.path.relpath(ROOT / "deploy" / "ram" / "policy.json", tmp_path / "docs"))
    done = built(docs, tmp_path / "site")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.glob("site/_downloads/*/policy.json")] == ["policy.json"]


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    broken = ("other.md", "page.md#no-heading", "#nowhere", "../no-file.yaml", "../README.md", "/etc/passwd", "no.svg")
    done = built(small(tmp_path, *broken), tmp_path / "site")
    assert done.returncode != 0
    assert [link for link in broken if link.rpartition("#")[2].removeprefix("../") not in done.stderr] == []


def test_what_pages_and_pictures_take_from_the_code_is_what_the_generator_writes() -> None:
    for path, wanted in reference.files().items():
        assert path.read_text() == wanted, f"{path.name}: `make reference` heals this"


def test_every_page_is_reached_from_the_start_page() -> None:
    reached, ahead = set[Path](), [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            ahead += [path for path, _ in links_of(page) if path.is_relative_to(DOCS) and path.suffix == ".md"]
    assert reached >= set(DOCS.rglob("*.md"))


def test_no_link_of_a_page_outside_of_the_site_is_broken() -> None:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pages = [ROOT / name for name in listed.split() if not name.startswith("docs/")]
    assert ROOT / "README.md" in pages
    for page in pages:
        for path, anchor in links_of(page):
            assert path.exists(), f"{page.name}: {path}"
            assert not anchor or path.suffix != ".md" or anchor.lower() in anchors_of(path), f"{page.name}: {anchor}"


def test_the_reference_has_every_event_that_the_code_posts_with_its_type() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "operator" / "esa_preload_operator").rglob("*.py"))
    posted = re.findall(r"(?:Notice\(|post\(\w+, )Reason\.(\w+), [^\n]*", sources)
    warned = re.findall(r"(?:Notice\(|post\(\w+, )Reason\.(\w+), [^\n]*warning=True", sources)
    found = {Reason[name]: "Warning" if name in warned else "Normal" for name in posted}
    assert len(found) >= 9
    assert found.items() <= {reason: kind for reason, (kind, _) in conditions_page.EVENTS.items()}.items()


def phase_of(reset: ResetState | None) -> str:
    return "" if reset is None else reset.phase


def test_the_picture_of_a_reset_has_every_way_that_an_exploration_takes() -> None:
    explorer = Explorer(Scope("most ways", A, Left(lose=1, throttle=1, author=1, spec=1, look_fails=1, remove=1)))
    explorer.run()
    objs = explorer.machine.objs
    taken = set[tuple[str, str]]()
    for number, parent in enumerate(explorer.parents):
        before, after = (objs[explorer.states[each].obj].reset for each in (max(parent, 0), number))
        if before != after:
            taken.add((phase_of(before), phase_of(after)))
    ended = {phase for _, phase in state_picture.WAYS} - {phase for phase, _ in state_picture.WAYS}
    assert len(taken) >= 12
    assert {
        (state_picture.REQUEST if before in ended else before, after) for before, after in taken
    } <= state_picture.WAYS
