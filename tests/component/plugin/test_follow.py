"""Watches are as few as possible, begin anew by themselves, and end with their user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.cli.plugin.follow import Begun, Interrupted, Seen, Watch, scopes
from esa_preload_operator.cli.plugin.jobs import Ref
from esa_preload_operator.cli.plugin.kubectl import Kubectl

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RESOURCE = "scheduledpreloadjobs.esa.preload-operator.io"


def test_one_resource_is_watched_by_name_and_many_by_namespace() -> None:
    assert scopes([Ref("web", "a")]) == [(RESOURCE, "a", "--namespace=web")]
    assert scopes([Ref("web", "a"), Ref("web", "b")]) == [(RESOURCE, "--namespace=web")]
    assert scopes([Ref("web", "a"), Ref("shop", "a")]) == [
        (RESOURCE, "--namespace=shop"),
        (RESOURCE, "--namespace=web"),
    ]
    assert scopes([Ref(f"n{number}", "a") for number in range(5)]) == [(RESOURCE, "--all-namespaces")]


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Kubectl:
    (folder / "kubectl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Kubectl()


def test_a_watch_that_ends_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event = '{"type":"%s","object":{"metadata":{"name":"a","namespace":"web"}}}'
    script = f"echo '{event % 'ADDED'}'; echo '{event % 'DELETED'}'; echo 'error: reset by peer' >&2; exit 1"
    with Watch(kubectl(tmp_path, monkeypatch, script), [("spj",)]) as watch:
        news = [watch.next(10) for _ in range(5)]
    assert [type(each) for each in news] == [Begun, Seen, Seen, Interrupted, Begun]
    assert [each.deleted for each in news if isinstance(each, Seen)] == [False, True]
    assert [each.why for each in news if isinstance(each, Interrupted)] == ["error: reset by peer"]


def test_a_resource_that_does_not_exist_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo 'Error from server (NotFound): x' >&2; exit 1"
    with Watch(kubectl(tmp_path, monkeypatch, script), [("spj",)]) as watch:
        news = [watch.next(10) for _ in range(2)]
    assert [each.missing for each in news if isinstance(each, Interrupted)] == [True]


def test_no_kubectl_outlives_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = kubectl(tmp_path, monkeypatch, "exec sleep 60")
    with Watch(runs, [("spj",), ("spj",)]) as watch:
        assert isinstance(watch.next(10), Begun)
    assert not runs.running
