import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Reason
from esa_preload_operator.esa.credentials import Credentials, from_environment, from_secret


def encoded(**values: str) -> dict[str, str]:
    return {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}


def test_a_secret_may_end_its_values_with_a_newline() -> None:
    found = from_secret(encoded(accessKeyId="id\n", accessKeySecret="secret\r\n", securityToken="t+/="), "ns/s")
    assert found == Credentials("id", "secret", "t+/=")


@pytest.mark.parametrize("missing", ["accessKeyId", "accessKeySecret"])
@pytest.mark.parametrize("value", [None, "", "\n"])
def test_a_missing_key_is_named(missing: str, value: str | None) -> None:
    data = encoded(accessKeyId="id", accessKeySecret="secret")
    del data[missing]
    if value is not None:
        data |= encoded(**{missing: value})
    with pytest.raises(EsaError, match=f"key {missing} of Secret ns/s is missing or empty") as caught:
        from_secret(data, "ns/s")
    problem = caught.value.problem
    assert (problem.reason, problem.error_class) == (Reason.CREDENTIALS_MISSING, ErrorClass.BLOCKED)
    assert problem.delivery is Delivery.NEVER_SENT


@pytest.mark.parametrize(
    "value",
    ["not base64!", "YQ", "ü", *encoded(a="in ner", b="in\nner", c="\x00", d="schlüssel", e="x" * 20000).values()],
)
def test_a_malformed_value_is_named_and_not_shown(value: str) -> None:
    data = encoded(accessKeyId="id", accessKeySecret="secret") | {"accessKeySecret": value}
    with pytest.raises(EsaError, match="key accessKeySecret of Secret ns/s") as caught:
        from_secret(data, "ns/s")
    assert caught.value.problem.reason is Reason.CREDENTIALS_INVALID
    assert value not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@given(st.text(max_size=20))
def test_any_secret_is_credentials_or_an_error_that_names_its_key(value: str) -> None:
    try:
        from_secret(encoded(accessKeySecret="secret") | {"accessKeyId": value}, "s")
    except EsaError as error:
        assert "key accessKeyId" in str(error)  # noqa: PT017 - other exceptions must pass


def test_the_environment_is_read_when_asked() -> None:
    environment = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret\n"}
    assert from_environment(environment) == Credentials("id", "secret")
    assert from_environment(environment | {"ALIBABA_CLOUD_SECURITY_TOKEN": "t"}) == Credentials("id", "secret", "t")
    assert from_environment({}) is None
    with pytest.raises(EsaError, match="ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"):
        from_environment({"ALIBABA_CLOUD_ACCESS_KEY_ID": "id"})


def test_their_text_shows_nothing_and_their_id_tells_them_apart() -> None:
    one, other = Credentials("id", "secret", "token"), Credentials("id", "secret", "newer")
    assert repr(one) == str(one) == "Credentials()"
    assert one.id != other.id
    assert one.id == Credentials("id", "secret", "token").id


def test_what_is_hidden_is_no_part_of_ordinary_words() -> None:
    assert Credentials("id", "long-secret", "long-secret-token").hidden() == ("long-secret-token", "long-secret")
