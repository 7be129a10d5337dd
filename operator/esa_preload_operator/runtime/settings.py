"""What can be set: environment variables `ESA_OPERATOR_*` and flags of the same names; a flag wins."""

import argparse
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from esa_preload_operator.resources.durations import parse_duration

PREFIX: Final = "ESA_OPERATOR_"
_SERVICE_LINK: Final = re.compile(
    rf"{PREFIX}(\w+_)?"
    r"(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=\d+|PORT=\w+://.*|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*)"
)
"""What the kubelet sets for each Service of the namespace: that of a Service named esa-operator… has our prefix."""

ALL: Final = "*"
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123, as namespaces are named."""
_SUBDOMAIN: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL.pattern}(\.{_LABEL.pattern})*")
"""RFC 1123, as Secrets are named."""


def _split(value: Any) -> tuple[str, ...]:
    """Return the names in a text, or in several; commas and spaces separate, and a name given twice counts once."""
    texts = (value,) if isinstance(value, str) else value
    return tuple(dict.fromkeys(name for text in texts for name in str(text).replace(",", " ").split()))


def _watched(value: Any) -> tuple[str, ...]:
    """Return the namespaces to watch, none for all; an empty variable is one not set, an empty flag is a mistake."""
    texts = ((value,) if value.strip() else ()) if isinstance(value, str) else value
    if not all(_split(text) for text in texts):
        raise ValueError(f"a namespace has no name; {ALL} means all")
    names = _split(texts)
    return () if ALL in names else names


def _named_as(kind: str, pattern: re.Pattern[str], *, or_all: bool) -> AfterValidator:
    """Return a check of one name, or of several, against a pattern."""

    def check(value: Any) -> Any:
        for name in (value,) if isinstance(value, str) else value:
            if name and not pattern.fullmatch(name) and not (or_all and name == ALL):
                hint = f"; patterns are not understood, only {ALL} for all" if or_all else ""
                raise ValueError(f"{name[:80]!r} can't be the name of a {kind}{hint}")
        return value

    return AfterValidator(check)


def _between(least: str, most: str) -> AfterValidator:
    """Return a check that a duration is within bounds."""

    def check(seconds: float) -> float:
        if not parse_duration(least) <= seconds <= parse_duration(most):
            raise ValueError(f"it must be at least {least} and at most {most}")
        return seconds

    return AfterValidator(check)


_Duration = Annotated[float, BeforeValidator(lambda value: parse_duration(value) if isinstance(value, str) else value)]
_Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Namespace = Annotated[str, _named_as("namespace", _LABEL, or_all=False)]
Namespaces = Annotated[_Names, _named_as("namespace", _LABEL, or_all=True)]
Secrets = Annotated[_Names, _named_as("Secret", _SUBDOMAIN, or_all=True)]
Watched = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_watched), _named_as("namespace", _LABEL, or_all=True)]


class SettingsError(ValueError):
    """The settings can't be used; the message is one line that names the setting."""


class Settings(BaseSettings):
    """All settings. Durations are written as Go does (`30s`, `1h30m`) and held in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    endpoint: str = Field(
        default="https://esa.cn-hangzhou.aliyuncs.com",
        description="ESA's endpoint, by the account's site: china, international, china-vpc, international-vpc, or "
        "a URL; http:// only for loopback.",
    )
    allow_http_endpoint: bool = Field(default=False, description="Allow an http:// endpoint that is not loopback.")
    namespaces: Watched = Field(
        default=(), description="Namespaces to watch, separated by commas; none, or *, means all."
    )
    workers: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Resources that are worked on at the same time; three quarters of them in one namespace, at most.",
    )
    leader_election: bool = Field(default=True, description="Work only while holding the Lease.")
    lease_namespace: Namespace = Field(
        default="", description="Namespace of the Lease; in a cluster the pod's own by default."
    )
    lease_duration: Annotated[_Duration, _between("1s", "1h")] = Field(
        default=15.0, description="Time after which others take a Lease that its holder does not renew."
    )
    lease_renew_deadline: Annotated[_Duration, _between("500ms", "1h")] = Field(
        default=10.0, description="Time without a renewal after which the holder gives up; below LEASE_DURATION."
    )
    lease_retry_period: Annotated[_Duration, _between("100ms", "1h")] = Field(
        default=2.0, description="Time between two tries for the Lease; below LEASE_RENEW_DEADLINE."
    )
    metrics_port: int = Field(default=8080, ge=0, le=65535, description="Port of /metrics.")
    health_port: int = Field(default=8081, ge=0, le=65535, description="Port of /healthz and /readyz.")
    log_format: Literal["plain", "json"] = Field(default="plain", description="plain or json.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe level.")
    refresh_active: Annotated[_Duration, _between("1s", "24h")] = Field(
        default=30.0, description="Time between refreshes while a job runs; 1s to 24h."
    )
    refresh_idle: Annotated[_Duration, _between("1s", "24h")] = Field(
        default=600.0, description="Time between refreshes while none runs; 1s to 24h."
    )
    request_timeout: Annotated[_Duration, _between("100ms", "5m")] = Field(
        default=10.0, description="Longest time of one call to ESA; 100ms to 5m."
    )
    network_grace: Annotated[_Duration, _between("500ms", "5m")] = Field(
        default=5.0,  # also the time from the intent's write to the call: with 0 no call would ever leave
        description="Time after a call's timeout in which it may still be on the wire; 500ms to 5m.",
    )
    list_grace: Annotated[_Duration, _between("0s", "10m")] = Field(
        default=15.0,
        description="Time for which lists may not show a job or window that was just created; 0s to 10m.",
    )
    max_calls_per_second: float = Field(
        default=50.0, ge=0.1, le=100_000, description="Calls per second to ESA for each credentials; at least 0.1."
    )
    shared_looks: bool = Field(
        default=True,
        description="While many resets wait for their turn, look at their jobs by one list of their site instead of "
        "one call each.",
    )
    reset_confirmation: Literal["progress", "none", "nonce"] = Field(
        default="progress",
        description="What proves a reset whose answer was lost: falling progress, none, or nonce (experimental): "
        "falling progress, else the same signed request is sent again.",
    )
    stale_token_after: Annotated[_Duration, _between("0s", "87600h")] = Field(
        default=3600.0,
        description="A token that reads as a time this much older than its object is not acted on.",
    )
    min_reset_interval: Annotated[_Duration, _between("0s", "87600h")] = Field(
        default=0.0, description="Floor for every spec.minResetInterval."
    )
    default_credentials_namespaces: Namespaces = Field(
        default=(), description="Namespaces that may use the operator's own credentials; * for all."
    )
    credentials_secret_names: Secrets = Field(
        default=("esa-credentials",), description="Names of Secrets that resources may refer to; * for all."
    )
    ecs_ram_role: bool = Field(
        default=False, description="Without other credentials of its own, use the RAM role of the ECS instance."
    )

    @field_validator("lease_retry_period")
    @classmethod
    def _lease_times_in_order(cls, value: float, info: ValidationInfo) -> float:
        deadline, duration = info.data.get("lease_renew_deadline"), info.data.get("lease_duration")
        if deadline is not None and duration is not None and not value < deadline < duration:
            raise ValueError("it must be below LEASE_RENEW_DEADLINE, and that below LEASE_DURATION")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `read_settings` gives and nothing else, so that each value has one way in."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("log_format", "log_level", "reset_confirmation", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting; what is not given stays unset, so that the environment counts."""
    for name, info in Settings.model_fields.items():
        if name == "namespaces":
            continue
        parser.add_argument(
            _flag(name), dest=name, default=None, metavar="VALUE", help=_help(name, info.description or "")
        )


def _flag(name: str) -> str:
    return "--namespace" if name == "namespaces" else f"--{name.replace('_', '-')}"


def _help(name: str, description: str) -> str:
    return f"{description} [{PREFIX}{name.upper()}]".replace("%", "%%")


def read_settings(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a value is unknown or malformed; the message is one line.
    """
    environ = os.environ if environ is None else environ
    environ = {name: text for name, text in environ.items() if not _SERVICE_LINK.fullmatch(f"{name}={text}")}
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in environ if name.upper().startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"{unknown[0]}: there is no such setting")
    values: dict[str, Any] = {
        name: environ[key] for name in Settings.model_fields if (key := f"{PREFIX}{name.upper()}") in environ
    }
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{PREFIX}{name.upper()} ({_flag(name)}): {message}") from None
