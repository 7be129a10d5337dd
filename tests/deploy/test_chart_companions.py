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
from support.chart import NAME, ROOT, container, environment_of, named, render

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
    names, kubernetes, esa = spec["egress"]
    assert [(each["port"], each["protocol"]) for each in names["ports"]] == [
        (53, "UDP"),
        (53, "TCP"),
        (5353, "UDP"),
        (5353, "TCP"),
    ]
    assert names["to"] == [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "169.254.20.10/32"}}]
    assert kubernetes == {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}
    assert esa == {"ports": [{"port": 443, "protocol": "TCP"}]}


def egress(**values: Any) -> list[dict[str, Any]]:
    """Return the rules behind those of names and the API server."""
    rules = named(render({"networkPolicy": {"enabled": True}, **values}), "NetworkPolicy")["spec"]["egress"]
    return list(rules[2:])


def tcp(port: int, **fields: Any) -> dict[str, Any]:
    return {"ports": [{"port": port, "protocol": "TCP"}], **fields}


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("international-vpc", 443),
        ("https://esa.example.com", 443),
        ("https://esa.example.com:8443", 8443),
        ("http://esa-simulator:8089", 8089),
        ("http://esa-simulator", 80),
        ("https://[2001:db8::1]", 443),
        ("https://[2001:db8::1]:8443", 8443),
    ],
)
def test_the_network_policy_opens_the_endpoints_port(endpoint: str, port: int) -> None:
    assert egress(config={"endpoint": endpoint}) == [tcp(port)]


def test_the_network_policy_opens_what_other_values_need() -> None:
    metadata = [{"ipBlock": {"cidr": "100.100.100.200/32"}}]
    assert egress(credentials={"ecsRamRole": True}) == [tcp(443), tcp(80, to=metadata)]
    rrsa = {"rrsa": {"enabled": True, "roleName": "esa"}}
    both = [{"port": port, "protocol": "TCP"} for port in (8443, 443)]
    assert egress(credentials=rrsa, config={"endpoint": "https://esa.example.com:8443"}) == [{"ports": both}]
    assert egress(tracing={"endpoint": "http://collector:4318"}) == [tcp(443), tcp(4318)]
    assert egress(proxy={"url": "http://proxy:3128"}, credentials=rrsa) == [tcp(3128)]


def test_a_bundle_of_certificates_is_found_where_it_is_mounted() -> None:
    manifests = render({"caBundle": {"configMap": "corporate", "key": "bundle.pem"}})
    found = container(manifests)
    (mount,), (volume,) = found["volumeMounts"], named(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert environment_of(found)["SSL_CERT_FILE"] == f"{mount['mountPath']}/bundle.pem"
    assert mount["readOnly"]
    assert volume == {"name": mount["name"], "configMap": {"name": "corporate"}}


def test_proxy_and_traces_are_told_by_the_usual_variables() -> None:
    values = {
        "proxy": {"url": "http://proxy:3128", "noProxy": ".a,.b"},
        "tracing": {"endpoint": "http://collector:4318"},
    }
    usual = {
        "HTTPS_PROXY": "http://proxy:3128",
        "NO_PROXY": ".a,.b",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    }
    assert usual.items() <= environment_of(container(render(values))).items()
    assert not usual.keys() & environment_of(container(render())).keys()


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
