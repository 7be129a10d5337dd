"""The commands of the guides: each is one that its program understands, or a comment says why it is not tried."""

from __future__ import annotations

import functools
import itertools
import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from build import binaries
from esa_preload_operator.cli.plugin.arguments import parser
from esa_preload_operator.cli.plugin.flags import take_apart
from esa_preload_operator.resources.names import GROUP, PLURAL
from support.blocks import Block, blocks
from support.chart import CHART, HELMS, NAME, ROOT, HelmError, helm
from support.manifests import PAGES

if TYPE_CHECKING:
    from pathlib import Path

DOCS: Final = ROOT / "docs"
GUIDES: Final = [page for page in PAGES if page.parent == DOCS / "guides" or page == DOCS / "security.md"]
WRITTEN: Final = [page for page in PAGES if page.parent != DOCS / "reference"]
"""Pages that are not made from the code."""
SHELL: Final = {"sh", "console"}
OURS: Final = {"spj", PLURAL, f"{PLURAL}.{GROUP}"}
KINDS: Final = OURS | {"all", "configmap", "crd", "deployment", "events", "namespace", "pods", "service"}
KINDS_OF_OTHERS: Final = {"servicemonitors", "prometheusrules"}
NESTED: Final = {"auth": 2, "create": 2, "create secret": 3, "rollout": 2}
"""Of how many words the names of kubectl's commands are, where they are more than one."""


def words_of(command: str) -> list[list[str]]:
    """Return the words of each program that a line runs; where its output goes is left out."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    programs: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in {"|", "&&", ";"}:
            programs.append([])
        elif word in {">", "<"}:
            next(words)
        else:
            programs[-1].append(word)
    return programs


@functools.cache
def help_of(*words: str) -> str:
    """Return kubectl's help on a command, with the options that every command has."""
    texts = [
        subprocess.run(
            [binaries() / "kubectl", *asked], capture_output=True, text=True, check=True, env={"HOME": "/nonexistent"}
        ).stdout
        for asked in ((*words, "--help"), ("options",))
    ]
    return "".join(texts)


@functools.cache
def installed() -> set[str]:
    """Return the objects of the chart as the guides install it, as `kubectl` takes them: deployment/name."""
    objects = yaml.safe_load_all(helm(HELMS[0], "template", NAME, str(CHART), f"--namespace={NAME}"))
    return {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects if each}


def check_plugin(words: list[str]) -> None:
    try:
        parser().parse_args(take_apart(words).rest)
    except SystemExit:
        pytest.fail(f"the plugin does not understand {words}")


def check_kubectl(words: list[str]) -> None:
    while words[0].startswith("-"):  # options in front of the verb
        words = words[2:] if words[0] in {"-n", "--namespace"} else words[1:]
    length = NESTED.get(" ".join(words[:2]), NESTED.get(words[0], 1))
    known = help_of(*words[:length])
    for word in words:
        if word.startswith("-"):
            name = word.partition("=")[0]
            assert re.search(rf"(?m)^    (-\w, )?{name}\b|^    {name}, ", known), word
    named = [word for word in words[1:] if not word.startswith("-")]
    if words[0] in {"annotate", "delete", "get", "patch", "wait"}:
        kinds = set(re.split("[,/]", named[0])[: named[0].count(",") + 1])
        assert kinds <= KINDS | KINDS_OF_OTHERS, named[0]
    for word in named:
        if word.startswith(("deploy/", "crds/")):
            assert (ROOT / word).exists(), word
        if word.startswith(("deployment/", "service/")):
            assert word in installed(), word


def check_helm(words: list[str]) -> None:
    """Render what is installed with the given values, which the chart's schema judges."""
    known = "".join(helm(HELMS[0], *asked) for asked in ((words[0], "--help"), ("template", "--help")))
    for word in words:
        assert not word.startswith("--") or word.partition("=")[0] in known, word
    if str(CHART.relative_to(ROOT)) in words:
        given = [f"--set={word}" for before, word in itertools.pairwise(words) if before == "--set"]
        helm(HELMS[0], "template", "r", str(CHART), *given)


def check(command: str) -> None:
    for words in words_of(command):
        match words:
            case ["kubectl", "esa-preload", *rest]:
                check_plugin(rest)
            case ["kubectl", *rest]:
                check_kubectl(rest)
            case ["helm", *rest]:
                check_helm(rest)
            case _:
                pytest.fail(f"nothing checks this: mark its block as not run, with the reason: {command}")


def checked(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in SHELL and not block.reason]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_each_command_of_a_guide_is_one_that_its_program_understands(page: Path) -> None:
    for block in checked(page):
        for command in block.commands():
            check(command)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_each_command_of_the_plugin_that_a_page_names_is_one(page: Path) -> None:
    text = page.read_text()
    for command in re.findall(r"kubectl (esa-preload [a-z][^`'|\n<>…]*)", text.replace("\\\n", " ")):
        words = [word for word in shlex.split(command.replace("'", "")) if word not in {"...", ")"}]
        if len(words) > 2 or words[1] not in {"reset", "status", "logs", "adopt", "completion"}:
            check_plugin(words[1:])


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_each_value_of_the_chart_that_a_guide_names_is_there(page: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for name in re.findall(r"`([a-z]\w*(?:\.\w+)+)(?:=[^`]*)?`", page.read_text()):
        place = values
        if name.partition(".")[0] in values:
            for part in name.split("."):
                assert isinstance(place, dict), name
                assert part in place, name
                place = place[part]


@pytest.mark.parametrize(
    "command",
    [
        "kubectl esa-preload reset nightly --waits",
        "kubectl get spj --no-such-flag",
        "kubectl get scheduledpreloads",
        "kubectl apply -f deploy/no-such-file.yaml",
        "kubectl port-forward service/esa-preload-operator 8080",
        "helm upgrade r deploy/helm/esa-preload-operator --set metrics.serviceMonitor.enable=true",
        "terraform apply",
    ],
)
def test_a_command_that_its_program_does_not_understand_is_found_out(command: str) -> None:
    with pytest.raises((AssertionError, HelmError, pytest.fail.Exception)):
        check(command)
