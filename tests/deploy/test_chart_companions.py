"""What the chart puts beside the operator: a dashboard, a network policy, and a pod that tries the installation."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from esa_preload_operator.runtime.metrics import Metrics
from support.chart import NAME, ROOT, container, named, render

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_dashboard_reaches_grafana_as_it_is() -> None:
    (found,) = (
        each
        for each in render({"metrics": {"grafanaDashboard": {"enabled": True}}})
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    )
    assert list(found["data"].values()) == [(ROOT / "deploy" / "monitoring" / "dashboard.json").read_text()]


def test_the_network_policy_leaves_open_what_the_operator_needs_and_nothing_else() -> None:
    manifests = render({"networkPolicy": {"enabled": True}})
    spec = named(manifests, "NetworkPolicy")["spec"]
    assert spec["podSelector"] == named(manifests, "Deployment")["spec"]["selector"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    opened = [port for rule in spec["ingress"] for port in rule["ports"]]
    listens = [{"port": port["name"], "protocol": port["protocol"]} for port in container(manifests)["ports"]]
    assert opened == listens
    names, apis = (rule["ports"] for rule in spec["egress"])
    assert names == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert apis == [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]


class Page(http.server.BaseHTTPRequestHandler):
    """Serves the metrics where the operator does."""

    text = b""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("ours", [True, False])
def test_helm_test_tells_an_operators_metrics_from_others(
    address: str, monkeypatch: pytest.MonkeyPatch, *, ours: bool
) -> None:
    manifests = render({"metrics": {"service": {"port": 9090}}})
    (pod,) = named(manifests, "Pod", f"{NAME}-test")["spec"]["containers"]
    script, url = pod["args"]
    service = named(manifests, "Service", f"{NAME}-metrics")
    (port,) = service["spec"]["ports"]
    assert urlsplit(url).netloc == f"{NAME}-metrics.{service['metadata']['namespace']}:{port['port']}"
    assert port["targetPort"] in {each["name"] for each in container(manifests)["ports"]}
    monkeypatch.setattr(Page, "text", Metrics("1").text() if ours else b"up 1\n")
    program, *flags = pod["command"]
    assert program == "python3"
    done = subprocess.run(
        [sys.executable, *flags, script, url.replace(urlsplit(url).netloc, address)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == ours, done.stderr
