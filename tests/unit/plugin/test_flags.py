"""kubectl's own options are told from the plugin's, wherever they stand."""

from __future__ import annotations

import pytest

from esa_preload_operator.cli.plugin.flags import UsageError, take_apart


@pytest.mark.parametrize(
    ("words", "kubectl", "rest"),
    [
        (["list", "-n", "web"], ("-n=web",), ("list",)),
        (["-nweb", "list"], ("-n=web",), ("list",)),
        (["list", "-n=web", "--context=c"], ("-n=web", "--context=c"), ("list",)),
        (["list", "--as", "me", "--as-group=a", "--as-group", "b"],
         ("--as=me", "--as-group=a", "--as-group=b"), ("list",)),
        (["list", "--insecure-skip-tls-verify"], ("--insecure-skip-tls-verify",), ("list",)),
        (["status", "--", "-n"], (), ("status", "--", "-n")),
        (["list", "-l", "app=web"], (), ("list", "-l", "app=web")),
        (["list", "--kubeconfig", ""], ("--kubeconfig=",), ("list",)),
    ],
)  # fmt: skip
def test_kubectls_options_go_on_to_kubectl(words: list[str], kubectl: tuple[str, ...], rest: tuple[str, ...]) -> None:
    given = take_apart(words)
    assert (given.kubectl, given.rest) == (kubectl, rest)


def test_the_namespace_and_all_namespaces_are_known() -> None:
    given = take_apart(["list", "-A", "--namespace", "web"])
    assert (given.namespace, given.all_namespaces, given.scope) == ("web", True, ("--all-namespaces",))


def test_a_logins_token_is_hidden_and_stands_in_no_advice() -> None:
    given = take_apart(["--token=very-secret", "list", "--context", "c"])
    assert given.hidden == ("very-secret",)
    assert given.shown == ("--context=c",)
    assert "very-secret" not in repr(given.shown)


def test_behind_reset_token_is_the_requests_and_before_it_kubectls() -> None:
    given = take_apart(["--token", "login", "reset", "nightly", "--token", "deploy-1"])
    assert given.kubectl == ("--token=login",)
    assert given.rest == ("reset", "nightly", "--token", "deploy-1")


def test_an_option_without_its_value_is_refused() -> None:
    with pytest.raises(UsageError, match="--context needs a value"):
        take_apart(["list", "--context"])
