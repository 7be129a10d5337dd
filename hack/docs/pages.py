"""The pages of the site and their order: `docs/index.md` lists them, and the site's navigation is made from this.

A page that does not exist is left out; one that lies in a folder and is named nowhere comes last in its section.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
INDEX: Final = "index"


@dataclass(frozen=True, slots=True)
class Section:
    """Some pages under one heading; a folder adds those of its pages that have no word here."""

    title: str
    pages: dict[str, str]
    """Pages without their suffix, and a few words on each."""
    folder: str = ""

    def found(self, docs: Path) -> Iterator[tuple[str, str]]:
        """Yield the pages that exist, with their words."""
        more = sorted(docs.glob(f"{self.folder}/*.md")) if self.folder else []
        names = dict.fromkeys((*self.pages, *(path.relative_to(docs).with_suffix("").as_posix() for path in more)))
        for name in names:
            if (docs / f"{name}.md").is_file():
                yield name, self.pages.get(name, "")


SECTIONS: Final = (
    Section(
        "Start",
        {
            "start": "from nothing to the first reset",
            "concepts": "jobs, windows, requests, and who does what",
            "comparison": "beside scripts, CronJobs and Terraform",
        },
    ),
    Section(
        "Guides",
        {
            "guides/helm": "install and set it up with the chart",
            "guides/argocd": "health, actions, resets by a sync",
            "guides/flux": "health expressions, HelmRelease, resets by a commit",
            "guides/pipelines": "a reset as a step of a deployment",
            "guides/rrsa": "credentials without an access key",
            "guides/accounts": "several Alibaba Cloud accounts",
            "guides/sites": "several ESA sites",
            "guides/monitoring": "metrics, alerts and the dashboard",
            "guides/from-cron": "from a script in cron",
            "guides/from-terraform": "from Terraform",
            "guides/upgrading": "to another version",
            "guides/uninstalling": "and what becomes of the jobs",
            "argocd": "health, actions, resets by a sync",
            "flux": "health expressions, HelmRelease, resets by a commit",
        },
        "guides",
    ),
    Section(
        "Jobs",
        {
            "creating": "from a list of URLs, or by adopting one that exists",
            "lists": "where the URLs come from",
            "replacing": "what becomes of the job when its list changes",
            "windows": "when ESA prefetches",
            "schedule": "reset a job by cron expression",
            "suspend": "stop windows and hold resets for a while",
            "deleting": "what is deleted in ESA, and what is kept",
            "status": "states, and what to do about them",
            "plugin": "reset and wait, look at one job or all, find out what is in the way",
        },
    ),
    Section(
        "Running the operator",
        {
            "credentials": "Secrets, RRSA, who may use which, RAM policy, proxies",
            "operations": "replicas, health, metrics, logs, upgrades",
            "troubleshooting": "from what is seen to what helps",
            "runbooks": "what to do when an alert fires",
            "security": "what is trusted, and what bounds it",
        },
    ),
    Section(
        "Reference",
        {
            "reference/resource": "each field of spec and status",
            "reference/settings": "flags and environment variables",
            "reference/chart-values": "all values of the chart",
            "reference/events-and-conditions": "states, conditions, reasons, Events",
            "reference/metrics": "what `/metrics` tells",
            "reference/plugin": "commands, options and exit codes of the plugin",
            "reference/permissions": "what the operator may do in RAM and in Kubernetes",
        },
        "reference",
    ),
    Section(
        "How it works",
        {
            "architecture": "the rooms of the code and the path of one reset",
            "reset-protocol": "how one request stays one reset",
            "undecidable": "what nobody can decide about jobs and windows",
            "open-questions": "what ESA's documents leave open",
        },
    ),
    Section("中文", {"zh/start": "快速开始"}, "zh"),
)


def title_of(page: Path) -> str:
    """Return a page's first heading.

    Raises:
        ValueError: it has none.
    """
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return line.removeprefix("# ").strip()
    raise ValueError(f"{page} has no title")


def listed(docs: Path = DOCS) -> str:
    """Return the lists of all pages, in Markdown."""
    lines: list[str] = []
    for section in SECTIONS:
        pages = list(section.found(docs))
        lines += [f"## {section.title}", ""] if pages else []
        for name, words in pages:
            said = f": {words}" if words else ""
            lines.append(f"- [{title_of(docs / f'{name}.md')}]({name}.md){said}")
        lines += [""] if pages else []
    return "\n".join(lines)


def navigation(docs: Path = DOCS) -> str:
    """Return hidden toctrees of all pages, as the site's index needs them."""
    found = {section.title: [name for name, _ in section.found(docs)] for section in SECTIONS}
    trees = (
        ("```{toctree}", ":hidden:", f":caption: {title}", "", *names, "```") for title, names in found.items() if names
    )
    return "\n".join(("", *("\n".join(tree) for tree in trees), ""))
