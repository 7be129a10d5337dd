"""The command line: starts with little, and is clear when it is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from esa_preload_operator.cli.plugin.main import main

ROOT = Path(__file__).parents[3]
HEAVY = ("pydantic", "rich", "yaml", "httpx", "aiohttp", "kubernetes", "kopf", "asyncio")


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env={"PYTHONPATH": str(ROOT / "operator")}, capture_output=True, text=True, check=False
    )


def test_no_command_but_adopt_needs_a_library_to_start() -> None:
    modules = "reset showing status suspending logs completion diagnose"
    imports = "; ".join(f"import esa_preload_operator.cli.plugin.{name}" for name in modules.split())
    loaded = run(
        f"import sys; import esa_preload_operator.cli.plugin.main; {imports}; print(*sys.modules)"
    ).stdout.split()
    assert "esa_preload_operator.cli.plugin.reset" in loaded
    assert [each for each in HEAVY if each in loaded] == []


def test_help_tells_the_exit_codes_and_loads_no_command() -> None:
    done = run(
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        "from esa_preload_operator.cli.plugin.main import main; main(['--help'])"
    )
    assert "exit codes: 0 done, 1 something failed, 2 wrong usage, 3 no outcome" in done.stdout
    loaded = done.stderr.split()
    assert "esa_preload_operator.cli.plugin.arguments" in loaded
    assert [each for each in (*HEAVY, "esa_preload_operator.cli.plugin.reset") if each in loaded] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reset", "--wait"], "exactly one of names, -l SELECTOR and --all must be given"),
        (["reset", "a", "--all"], "exactly one of names, -l SELECTOR and --all must be given"),
        (["reset", "-A", "a"], "-A goes with -l or --all"),
        (["list", "--context"], "--context needs a value"),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["reset", "a", "--timeout=soon"], ["reset", "a", "--max-parallel=0"], ["nosuch"], []]
)
def test_values_that_can_not_be_meant_end_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_kubectls_failure_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["list"]) == 1
    assert capsys.readouterr().err == "error: kubectl is not on the PATH\n"
