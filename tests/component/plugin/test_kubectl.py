"""The one place that runs kubectl: its answers, its complaints, and what a login says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError, documents

if TYPE_CHECKING:
    from pathlib import Path


class Scripted:
    """A program named kubectl that does what a shell script says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self.said: list[str] = []
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def __call__(self, script: str, *options: str, hidden: tuple[str, ...] = ()) -> Kubectl:
        program = self._folder / "kubectl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Kubectl(options, hidden, say=self.said.append)


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    return Scripted(tmp_path, monkeypatch)


def test_options_of_the_user_come_first_so_that_ours_win(scripted: Scripted) -> None:
    assert scripted('echo "$@"', "--context=c").text("get", "x", "--namespace=n") == "--context=c get x --namespace=n\n"


def test_json_is_read_and_nothing_is_an_empty_list(scripted: Scripted) -> None:
    assert scripted("echo '{\"a\": 1}'").json("get") == {"a": 1}
    assert scripted("true").json("get") == {"items": []}
    with pytest.raises(KubectlError, match="no JSON"):
        scripted("echo oops").json("get")


def test_what_is_given_reaches_kubectl(scripted: Scripted) -> None:
    assert scripted("cat").text("create", given="x" * 200_000) == "x" * 200_000


def test_a_complaint_is_the_error_without_secrets_and_query_strings(scripted: Scripted) -> None:
    script = """echo partial; echo 'Error from server (NotFound): Get "https://h/api?sig=1": s3cret' >&2; exit 1"""
    with pytest.raises(KubectlError) as caught:
        scripted(script, hidden=("s3cret",)).text("get")
    assert str(caught.value) == 'Error from server (NotFound): Get "https://h/api": ***'
    assert caught.value.output == "partial\n"
    assert caught.value.is_missing


def test_kubectls_own_log_gives_way_to_its_complaint(scripted: Scripted) -> None:
    logged = "echo 'E1128 23:32:37.5 1 memcache.go:381] no list' >&2"
    with pytest.raises(KubectlError, match=r"^The connection to the server was refused$"):
        scripted(f"{logged}; echo 'The connection to the server was refused' >&2; exit 1").text("get")
    with pytest.raises(KubectlError, match="memcache"):
        scripted(f"{logged}; exit 1").text("get")


def test_what_a_login_says_is_seen_at_once_also_a_question(scripted: Scripted) -> None:
    kubectl = scripted(
        "echo 'To sign in, open https://login.example/device?code=7' >&2; printf 'Password: ' >&2; sleep 0.3"
    )
    kubectl.text("get")
    assert scripted.said == ["To sign in, open https://login.example/device?code=7\n", "Password: "]


def test_a_warning_is_passed_on_although_kubectl_has_succeeded(scripted: Scripted) -> None:
    assert scripted("echo 'Warning: old version' >&2; echo x").text("get") == "x\n"
    assert scripted.said == ["Warning: old version\n"]


def test_rights_that_are_missing_are_told_from_other_failures(scripted: Scripted) -> None:
    with pytest.raises(KubectlError) as caught:
        scripted("echo 'Error from server (Forbidden): pods is forbidden: User x cannot list' >&2; exit 1").text("get")
    assert caught.value.is_denied
    assert not caught.value.is_missing


def test_lines_end_with_the_cause_when_kubectl_has_failed(scripted: Scripted) -> None:
    with scripted("echo one; echo 'error: gone' >&2; exit 1").lines("get") as lines:
        assert next(lines) == "one\n"
        with pytest.raises(KubectlError, match="error: gone"):
            next(lines)


def test_a_watch_that_nobody_reads_any_more_is_ended(scripted: Scripted) -> None:
    kubectl = scripted("while echo x; do sleep 0.01; done")
    with kubectl.lines("get") as lines:
        assert next(lines) == "x\n"
    assert not kubectl.running


def test_without_kubectl_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KubectlError, match="kubectl is not on the PATH"):
        Kubectl().text("get")


def test_documents_are_split_whether_they_take_one_line_or_many() -> None:
    lines = ["{\n", '  "a": {\n', "  }\n", "}\n", '{"b":1}\n', "{}\n", "{\n", "}\n"]
    assert list(documents(lines)) == [{"a": {}}, {"b": 1}, {}, {}]
