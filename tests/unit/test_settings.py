"""Every setting by environment and by flag, and one clear line for each that is wrong."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from esa_preload_operator.cli.main import _parser, main
from esa_preload_operator.runtime.assembly import rules_of
from esa_preload_operator.runtime.settings import PREFIX, Settings, SettingsError, add_flags, read_settings

# name -> (text, value); a value differs from the default
GOOD: dict[str, tuple[str, Any]] = {
    "endpoint": ("https://esa.ap-southeast-1.aliyuncs.com", "https://esa.ap-southeast-1.aliyuncs.com"),
    "allow_http_endpoint": ("true", True),
    "namespaces": ("a, b,c,b", ("a", "b", "c")),
    "workers": ("3", 3),
    "leader_election": ("false", False),
    "lease_namespace": ("ops", "ops"),
    "lease_duration": ("1m", 60.0),
    "lease_renew_deadline": ("12s", 12.0),
    "lease_retry_period": ("500ms", 0.5),
    "metrics_port": ("0", 0),
    "health_port": ("9", 9),
    "log_format": ("JSON", "json"),
    "log_level": ("DEBUG", "debug"),
    "refresh_active": ("1500ms", 1.5),
    "refresh_idle": ("1h30m", 5400.0),
    "request_timeout": ("1.5s", 1.5),
    "network_grace": ("750ms", 0.75),
    "list_grace": ("1m30s", 90.0),
    "max_calls_per_second": ("0.5", 0.5),
    "shared_looks": ("false", False),
    "reset_confirmation": ("none", "none"),
    "stale_token_after": ("720h", 2_592_000.0),
    "min_reset_interval": ("1m", 60.0),
    "default_credentials_namespaces": ("*", ("*",)),
    "credentials_secret_names": ("one two.json,one", ("one", "two.json")),
    "ecs_ram_role": ("true", True),
}
BAD = {
    "allow_http_endpoint": "maybe",
    "workers": "0",
    "leader_election": "2",
    "ecs_ram_role": "perhaps",
    "lease_duration": "2h",
    "lease_renew_deadline": "0s",
    "lease_retry_period": "10s",
    "metrics_port": "65536",
    "health_port": "-1",
    "log_format": "xml",
    "log_level": "loud",
    "refresh_active": "0s",
    "refresh_idle": "soon",
    "request_timeout": "10",
    "network_grace": "0s",
    "list_grace": "-1s",
    "max_calls_per_second": "0",
    "shared_looks": "sometimes",
    "reset_confirmation": "maybe",
    "stale_token_after": "1d",
    "min_reset_interval": "",
    "lease_namespace": "Ops",
    "default_credentials_namespaces": "team-*",
    "credentials_secret_names": "a/b",
}
BEYOND = [
    ("refresh_active", "999ms"),
    ("refresh_active", "24h1s"),
    ("refresh_idle", "1ns"),
    ("refresh_idle", "1000h"),
    ("request_timeout", "1ns"),
    ("request_timeout", "6m"),
    ("network_grace", "499ms"),
    ("network_grace", "5m1s"),
    ("list_grace", "10m1s"),
    ("stale_token_after", "2000000h"),
    ("min_reset_interval", "2000000h"),
    ("max_calls_per_second", "1e-9"),
    ("max_calls_per_second", "inf"),
    ("max_calls_per_second", "nan"),
    ("max_calls_per_second", "1e9"),
]


def key(name: str) -> str:
    return PREFIX + name.upper()


def flags(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return vars(parser.parse_args(arguments))


def test_every_setting_is_tried_here() -> None:
    assert set(GOOD) == set(Settings.model_fields)


@pytest.mark.parametrize("name", GOOD)
def test_a_setting_by_environment(name: str) -> None:
    text, value = GOOD[name]
    assert getattr(read_settings({}, {}), name) != value
    assert getattr(read_settings({}, {key(name): text}), name) == value


@pytest.mark.parametrize("name", [name for name in GOOD if name != "namespaces"])
def test_a_setting_by_flag_which_wins(name: str) -> None:
    text, value = GOOD[name]
    given = flags(f"--{name.replace('_', '-')}={text}")
    assert getattr(read_settings(given, {}), name) == value
    assert getattr(read_settings(given, {key(name): BAD.get(name, "other")}), name) == value


@pytest.mark.parametrize(("name", "text"), [*BAD.items(), *BEYOND])
@pytest.mark.parametrize("by_flag", [True, False])
def test_a_malformed_value_is_one_line_that_names_the_setting(name: str, text: str, by_flag: bool) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({name: text}, {}) if by_flag else read_settings({}, {key(name): text})
    message = str(caught.value)
    assert message.startswith(f"{key(name)} (--{name.replace('_', '-')}): ")
    assert "\n" not in message


def namespaces(*arguments: str, variable: str | None = None) -> tuple[str, ...]:
    """Return what `run` with these arguments would watch."""
    options = vars(_parser().parse_args(["run", *arguments]))
    return read_settings(
        {"namespaces": options["namespaces"]}, {} if variable is None else {key("namespaces"): variable}
    ).namespaces


@pytest.mark.parametrize(
    ("arguments", "watched"),
    [
        (["-n", "a", "-n", "a"], ("a",)),
        (["-n", "a,b", "--namespace", "c"], ("a", "b", "c")),
        (["-n", "b, a,b"], ("b", "a")),
        (["-n", "*"], ()),
        (["-n", "a", "-n", "*"], ()),
        ([], ()),
    ],
)
def test_namespaces_by_flag_are_each_watched_once(arguments: list[str], watched: tuple[str, ...]) -> None:
    assert namespaces(*arguments) == watched


@pytest.mark.parametrize(("text", "watched"), [("b,b", ("b",)), ("*", ()), ("", ()), ("a,*", ()), ("a b", ("a", "b"))])
def test_namespaces_by_variable_are_each_watched_once(text: str, watched: tuple[str, ...]) -> None:
    assert namespaces(variable=text) == watched


@pytest.mark.parametrize("text", ["team-*", "", "!x", " ", ",", "A", "a_b", "-a", "a-", "a.b", "a" * 64, "\u0131"])
def test_what_can_be_no_namespace_is_one_line_that_names_the_setting(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        namespaces(f"--namespace={text}")
    assert str(caught.value).startswith(f"{key('namespaces')} (--namespace): ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["team-*", "!x", ","])
def test_a_variable_that_names_no_namespace_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=key("namespaces")):
        namespaces(variable=text)


@pytest.mark.parametrize("text", [",", "", " , "])
def test_no_secret_names_at_all_are_none(text: str) -> None:
    assert read_settings({}, {key("credentials_secret_names"): text}).credentials_secret_names == ()


@pytest.mark.parametrize(
    ("name", "text"), [("lease_duration", "10s"), ("lease_renew_deadline", "15s"), ("lease_renew_deadline", "2s")]
)
def test_the_times_of_the_lease_must_be_in_order(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match="below LEASE_RENEW_DEADLINE, and that below LEASE_DURATION"):
        read_settings({}, {key(name): text})


def test_a_setting_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^ESA_OPERATOR_WROKERS: there is no such setting$"):
        read_settings({}, {"ESA_OPERATOR_WROKERS": "3"})


def test_other_variables_are_none_of_its_business() -> None:
    assert read_settings({}, {"ESA_ENDPOINT": "x", "WORKERS": "0"}) == read_settings({}, {})


def service_links(name: str, protocol: str = "TCP") -> dict[str, str]:
    """Return what the kubelet puts into the pods of a namespace that has such a Service with the port `metrics`."""
    link, address = f"{protocol.lower()}://10.96.0.7:8080", "10.96.0.7"
    variables = {
        "SERVICE_HOST": address,
        "SERVICE_PORT": "8080",
        "SERVICE_PORT_METRICS": "8080",
        "PORT": link,
        f"PORT_8080_{protocol}": link,
        f"PORT_8080_{protocol}_PROTO": protocol.lower(),
        f"PORT_8080_{protocol}_PORT": "8080",
        f"PORT_8080_{protocol}_ADDR": address,
    }
    return {f"{name.upper().replace('-', '_')}_{tail}": value for tail, value in variables.items()}


@pytest.mark.parametrize(
    "service", ["esa-operator", "esa-operator-metrics", "esa-operator-health", "esa-operator-2-port"]
)
@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_the_links_to_a_service_with_the_operators_prefix_are_no_settings(service: str, protocol: str) -> None:
    assert read_settings({}, service_links(service, protocol)) == read_settings({}, {})


@pytest.mark.parametrize(
    "variable", ["ESA_OPERATOR_METRIC_PORT=9", "ESA_OPERATOR_SERVICE_HOSTS=x", "ESA_OPERATOR_SERVICE_PORT=http"]
)
def test_a_mistyped_setting_is_no_link_to_a_service(variable: str) -> None:
    with pytest.raises(SettingsError, match="there is no such setting"):
        read_settings({}, dict([variable.split("=")]))


def test_the_environment_of_the_process_does_not_leak_into_given_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(key("workers"), "7")
    assert read_settings({}, {}).workers != 7
    assert read_settings({}).workers == 7


def test_no_word_of_the_help_is_a_mystery(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = capsys.readouterr().out
    for name, field in Settings.model_fields.items():
        assert field.description, name
        if name != "namespaces":
            assert key(name) in "".join(text.split()), name


@pytest.mark.parametrize(
    ("confirmation", "by_progress", "by_nonce"),
    [("progress", True, False), ("none", False, False), ("nonce", True, True), ("NONCE", True, True)],
)
def test_what_proves_a_reset_is_a_matter_of_one_setting(confirmation: str, by_progress: bool, by_nonce: bool) -> None:
    rules = rules_of(read_settings({"reset_confirmation": confirmation}, {}), "pod")
    assert (rules.confirm_by_progress, rules.confirm_by_nonce) == (by_progress, by_nonce)
