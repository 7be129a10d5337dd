import pytest

from esa_preload_operator.domain.errors import EsaError, Reason
from esa_preload_operator.esa.own import EcsRole, role_from, sts_of
from esa_preload_operator.esa.roles import OidcRole

RRSA = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/p",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token",
}


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://sts.aliyuncs.com"),
        ({"VPC_ENDPOINT_ENABLED": "true"}, "https://sts.aliyuncs.com"),
        ({"STS_REGION": "cn-hangzhou"}, "https://sts.cn-hangzhou.aliyuncs.com"),
        ({"STS_REGION": "cn-hangzhou", "VPC_ENDPOINT_ENABLED": "false"}, "https://sts.cn-hangzhou.aliyuncs.com"),
        ({"STS_REGION": "cn-hangzhou", "VPC_ENDPOINT_ENABLED": "TRUE"}, "https://sts-vpc.cn-hangzhou.aliyuncs.com"),
        ({"STS_ENDPOINT": "sts-vpc.cn-beijing.aliyuncs.com", "STS_REGION": "x"}, "https://sts-vpc.cn-beijing.aliyuncs.com"),
        ({"STS_ENDPOINT": "https://sts.example:8443/"}, "https://sts.example:8443"),
        ({"STS_ENDPOINT": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
    ],
)  # fmt: skip
def test_where_sts_is(variables: dict[str, str], url: str) -> None:
    assert sts_of({f"ALIBABA_CLOUD_{name}": value for name, value in variables.items()}, allow_http=False) == url


@pytest.mark.parametrize(
    "variables",
    [{"STS_ENDPOINT": "http://sts.aliyuncs.com"}, {"STS_ENDPOINT": "sts.aliyuncs.com/path"},
     {"STS_REGION": "e.example/"}, {"STS_ENDPOINT": "user:pw@sts.aliyuncs.com"}],
)  # fmt: skip
def test_a_token_goes_nowhere_else_and_never_in_the_open(variables: dict[str, str]) -> None:
    with pytest.raises(EsaError) as caught:
        sts_of({f"ALIBABA_CLOUD_{name}": value for name, value in variables.items()}, allow_http=False)
    assert caught.value.problem.reason is Reason.CREDENTIALS_INVALID
    assert "pw" not in str(caught.value)


def test_the_webhooks_variables_are_a_role() -> None:
    role = role_from(RRSA | {"ALIBABA_CLOUD_ECS_METADATA": "w"}, allow_http=False, ecs_ram_role=True)
    assert role == OidcRole(
        "acs:ram::1:role/r",
        "acs:ram::1:oidc-provider/p",
        RRSA["ALIBABA_CLOUD_OIDC_TOKEN_FILE"],
        "esa-preload-operator",
        "https://sts.aliyuncs.com",
    )


def test_a_role_arn_alone_asks_for_nothing() -> None:
    variables = {"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r", "ALIBABA_CLOUD_ECS_METADATA": "worker"}
    assert role_from(variables, allow_http=False, ecs_ram_role=False) == EcsRole("worker")
