"""The operator where ESA is only reached through a proxy with a password and behind a private authority."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from certificates import Authority
from esa_preload_operator.resources.job import RESET_KEY
from support.connect_proxy import SECRETS, connect_proxy, tunnel, with_password
from support.raw_server import RawServer
from support.scenarios import shown

if TYPE_CHECKING:
    from pathlib import Path

    from support.world import World

HOST = "esa.example.test"
WRONG = "wrongPasswordThatNobodySees"


async def test_a_reset_goes_through_the_proxy_and_its_password_shows_nowhere(world: World, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("server", HOST)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    async with RawServer(tunnel(world.simulator.url), tls) as esa, connect_proxy({f"{HOST}:443": esa.url}) as proxy:
        way = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": world.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": world.access_key_secret,
            "SSL_CERT_FILE": str(authority.certificate),
            "HTTPS_PROXY": with_password(proxy.url, WRONG),
        }
        world.own_credentials = way
        world.seed(1)
        world.create(1, annotations={RESET_KEY: "t1"})
        operator = world.operator(ENDPOINT=f"https://{HOST}", REQUEST_TIMEOUT="5s", LEADER_ELECTION="false")
        told = (await world.reason(1, "ServiceUnavailable"))["message"]
        assert f"through the proxy {proxy.url.removeprefix('http://')}: the proxy did not open a tunnel" in told
        assert world.resets() == 0
        operator.terminate()
        operator.wait()
        world.own_credentials = {**way, "HTTPS_PROXY": with_password(proxy.url)}
        again = world.operator(ENDPOINT=f"https://{HOST}", REQUEST_TIMEOUT="5s", LEADER_ELECTION="false")
        status = await world.handled(1)
        assert (world.resets(), status["reset"]["phase"]) == (1, "Succeeded")
        assert {head.split(" ")[1] for head in proxy.requests} == {f"{HOST}:443"}, "the API server is reached directly"
        for secret in (*SECRETS, WRONG):
            assert secret not in shown(world) + operator.log + again.log
