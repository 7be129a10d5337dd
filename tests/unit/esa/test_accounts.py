import base64
from collections.abc import Mapping

import pytest

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Reason, StoreUnavailableError
from esa_preload_operator.domain.ports import Accounts, ObjectRef
from esa_preload_operator.esa.accounts import AccountPool, Policy
from esa_preload_operator.esa.clients import MAX_PER_NAMESPACE
from esa_preload_operator.esa.own import OwnCredentials
from esa_preload_operator.esa.transport import Connections

ENVIRONMENT = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "own-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "own-secret"}


def secret(key_id: str, key_secret: str = "secret") -> dict[str, str]:
    values = {"accessKeyId": key_id, "accessKeySecret": key_secret}
    return {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}


class Cluster:
    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], Mapping[str, str]] = {}
        self.down = False
        self.now = 0.0

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        if self.down:
            raise StoreUnavailableError("HTTP 403 Forbidden; the operator needs a role", retry_after=30.0)
        return self.secrets.get((namespace, name))

    def pool(
        self,
        *,
        names: tuple[str, ...] = ("esa-credentials",),
        namespaces: tuple[str, ...] = (),
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> AccountPool:
        return AccountPool(
            Policy("operator-ns", names, namespaces),
            Connections("http://127.0.0.1:1", request_timeout=1),
            read_secret=self.read_secret,
            own=OwnCredentials(environment),
            max_calls_per_second=2,
            clock=lambda: self.now,
        )


async def refused(pool: Accounts, namespace: str, name: str | None) -> EsaError:
    with pytest.raises(EsaError) as caught:
        await pool.account(namespace, name)
    assert caught.value.problem.delivery is Delivery.NEVER_SENT
    return caught.value


async def test_own_credentials_serve_the_own_namespace_and_the_named_ones() -> None:
    pool: Accounts = Cluster().pool(namespaces=("web",))
    own = await pool.account("operator-ns", None)
    assert await pool.account("web", None) is own
    error = await refused(pool, "other", None)
    assert error.problem.reason is Reason.CREDENTIALS_NOT_ALLOWED
    assert "add other to the operator's setting DEFAULT_CREDENTIALS_NAMESPACES" in str(error)
    assert (await Cluster().pool(namespaces=("*",)).account("other", None)).id == own.id


async def test_a_secret_must_have_an_allowed_name() -> None:
    cluster = Cluster()
    cluster.secrets["web", "other-name"] = secret("id")
    error = await refused(cluster.pool(), "web", "other-name")
    assert error.problem.reason is Reason.CREDENTIALS_NOT_ALLOWED
    assert "add other-name to the operator's setting CREDENTIALS_SECRET_NAMES" in str(error)
    assert (await cluster.pool(names=("*",)).account("web", "other-name")).id


async def test_what_is_missing_is_named() -> None:
    cluster = Cluster()
    error = await refused(cluster.pool(), "web", "esa-credentials")
    assert (error.problem.reason, error.problem.error_class) == (Reason.CREDENTIALS_MISSING, ErrorClass.BLOCKED)
    assert "Secret web/esa-credentials does not exist" in str(error)
    error = await refused(cluster.pool(environment={}), "operator-ns", None)
    assert error.problem.reason is Reason.CREDENTIALS_MISSING


async def test_a_secret_that_could_not_be_read_is_retried_automatically() -> None:
    cluster = Cluster()
    cluster.down = True
    error = await refused(cluster.pool(), "web", "esa-credentials")
    assert error.problem.error_class is ErrorClass.TRANSIENT
    assert error.problem.retry_after == 30
    assert error.problem.message == (
        "Secret web/esa-credentials could not be read: HTTP 403 Forbidden; the operator needs a role"
    )


async def test_equal_credentials_share_a_client_and_changed_ones_get_a_new_one() -> None:
    cluster = Cluster()
    pool = cluster.pool()
    cluster.secrets["a", "esa-credentials"] = cluster.secrets["b", "esa-credentials"] = secret("id")
    first = await pool.account("a", "esa-credentials")
    assert await pool.account("b", "esa-credentials") is first
    cluster.secrets["a", "esa-credentials"] = secret("id", "rotated")
    rotated = await pool.account("a", "esa-credentials")
    assert rotated.id != first.id


async def test_whoever_only_knows_an_access_key_id_has_a_rate_of_its_own() -> None:
    cluster = Cluster()
    pool = cluster.pool()
    cluster.secrets["a", "esa-credentials"] = cluster.secrets["b", "esa-credentials"] = secret("id")
    cluster.secrets["c", "esa-credentials"] = secret("id", "guessed")
    first, same, stranger = [await pool.account(namespace, "esa-credentials") for namespace in "abc"]
    assert stranger.admit(ObjectRef("c", "one"), 2, lambda: None)
    assert first.admit(ObjectRef("a", "one"), 2, lambda: None)
    assert not same.admit(ObjectRef("b", "one"), 1, lambda: None)
    same.withdraw(ObjectRef("b", "one"))


async def test_accounts_that_nobody_asks_for_are_dropped() -> None:
    cluster = Cluster()
    pool = cluster.pool(names=("*",))
    for number in range(50):
        cluster.secrets[f"ns-{number % 25}", f"s-{number}"] = secret(f"id-{number}")
        await pool.account(f"ns-{number % 25}", f"s-{number}")
        cluster.now += 600
    assert len(pool._clients) <= 8
    assert len(pool._clients._places) <= 8


async def test_one_secret_that_changes_all_the_time_is_one_client_with_one_rate() -> None:
    cluster = Cluster()
    pool = cluster.pool()
    admitted = 0
    for number in range(1500):
        cluster.secrets["a", "esa-credentials"] = secret(f"id-{number}")
        account = await pool.account("a", "esa-credentials")
        admitted += account.admit(ObjectRef("a", f"j{number}"), 1, lambda: None)
    assert len(pool._clients) == 1
    assert admitted == 2


async def test_a_secret_that_leaves_shared_credentials_gets_a_rate_of_its_own_and_no_calls_on_top() -> None:
    cluster = Cluster()
    pool = cluster.pool()
    cluster.secrets["a", "esa-credentials"] = cluster.secrets["b", "esa-credentials"] = secret("id")
    first = await pool.account("a", "esa-credentials")
    await pool.account("b", "esa-credentials")
    for number in range(20):
        cluster.secrets["b", "esa-credentials"] = secret(f"id-{number}")
        other = await pool.account("b", "esa-credentials")
        assert not other.admit(ObjectRef("b", f"j{number}"), 1, lambda: None)
        cluster.secrets["b", "esa-credentials"] = secret("id")
        assert await pool.account("b", "esa-credentials") is first
    assert first.admit(ObjectRef("a", "one"), 2, lambda: None)
    assert len(pool._clients) == 1


async def test_a_namespace_has_so_many_clients_and_takes_none_from_others() -> None:
    cluster = Cluster()
    pool = cluster.pool(names=("*",))
    cluster.secrets["other", "s"] = secret("other")
    others = await pool.account("other", "s")
    for number in range(3 * MAX_PER_NAMESPACE):
        cluster.secrets["a", f"s-{number}"] = secret(f"id-{number}")
        account = await pool.account("a", f"s-{number}")
        may = account.admit(ObjectRef("a", f"j-{number}"), 1, lambda: None)
        assert may is (number < MAX_PER_NAMESPACE)
    assert len(pool._clients) == MAX_PER_NAMESPACE + 1
    assert await pool.account("other", "s") is others
