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
            "start": "everything on your machine, without an account",
            "concepts": "job, window, reset and token, and who has to act",
            "comparison": "with Terraform, ROS and a CLI in cron",
        },
    ),
    Section(
        "Guides",
        {
            "guides/helm": "two pods, the CRD, and exactly the rights that they need",
            "guides/argocd": "health, actions, resets by a sync",
            "guides/flux": "health expressions, HelmRelease, resets by a commit",
            "guides/pipelines": "a step that asks for a reset and waits for it",
            "guides/rrsa": "no access key in the cluster",
            "guides/accounts": "several Alibaba Cloud accounts under one operator",
            "guides/sites": "hundreds of jobs within what ESA allows",
            "guides/monitoring": "metrics, alerts and a Grafana dashboard",
            "guides/from-cron": "one resource in place of a line in a crontab",
            "guides/from-terraform": "the same job, neither deleted nor made anew",
            "guides/upgrading": "without a lost and without a repeated reset",
            "guides/uninstalling": "and what becomes of the jobs in ESA",
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
            "plugin": "reset and wait, look at one job or all, find out what is wrong",
        },
    ),
    Section(
        "Running the operator",
        {
            "credentials": "Secrets, RRSA, who may use which, RAM policy, proxies",
            "operations": "replicas, health, metrics, logs, upgrades",
            "troubleshooting": "find the text that you see",
            "runbooks": "what to do when an alert fires",
            "security": "who may do what, what is trusted and what is promised",
        },
    ),
    Section(
        "Reference",
        {
            "reference/resource": "each field of spec and status",
            "reference/settings": "flags and environment variables",
            "reference/chart-values": "all values of the chart",
            "reference/events-and-conditions": "states, conditions, reasons, Events",
            "reference/metrics": "what `/metrics` shows",
            "reference/plugin": "commands, options and exit codes of the plugin",
            "reference/permissions": "what the operator may do in RAM and in Kubernetes",
        },
        "reference",
    ),
    Section(
        "How it works",
        {
            "architecture": "the layers of the code and the path of one reset",
            "reset-protocol": "how one request stays one reset",
            "undecidable": "what nobody can decide about jobs and windows",
            "open-questions": "what only ESA itself can answer",
        },
    ),
    Section("中文", {"zh/start": "从零开始到重置一个预热任务"}, "zh"),
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
