"""Values of the chart for tests: for each one another valid value, and all that is off by default at once."""

from __future__ import annotations

from typing import Any, Final

import yaml

from chart import described
from support.chart import CHART

VALUES: Final[dict[str, Any]] = yaml.safe_load((CHART / "values.yaml").read_text())
DESCRIBED: Final = {".".join(each.path): each for each in described((CHART / "values.yaml").read_text())}
ALERTS: Final = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
ALERT: Final = next(rule["alert"] for group in ALERTS["groups"] for rule in group["rules"] if "alert" in rule)

# What has to be switched on for a value to count.
NEEDS: Final[dict[str, dict[str, Any]]] = {
    "watch.namespaces": {"watch": {"clusterWide": False}},
    "leaderElection.enabled": {"replicaCount": 1},
    "credentials.rrsa.enabled": {"credentials": {"rrsa": {"roleName": "esa"}}},
    "credentials.rrsa": {"credentials": {"rrsa": {"enabled": True, "roleName": "esa"}}},
    "resetPolicy": {"resetPolicy": {"enabled": True}},
    "caBundle.key": {"caBundle": {"configMap": "ca"}},
    "networkPolicy": {"networkPolicy": {"enabled": True}},
    "metrics.serviceMonitor": {"metrics": {"serviceMonitor": {"enabled": True}}},
    "metrics.podMonitor": {"metrics": {"podMonitor": {"enabled": True}}},
    "metrics.prometheusRule": {"metrics": {"prometheusRule": {"enabled": True}}},
    "metrics.grafanaDashboard": {"metrics": {"grafanaDashboard": {"enabled": True}}},
    "metrics.renderMode": {"metrics": {"podMonitor": {"enabled": True}}},
}
# Other values than the ones by default, where a type alone does not tell one.
OTHERS: Final[dict[str, Any]] = {
    "global": {"imageRegistry": "registry.example.com"},
    "image.digest": "sha256:" + "0" * 64,
    "imagePullSecrets": [{"name": "pull"}],
    "config.endpoint": "international-vpc",
    "config.leaseRenewDeadline": "12s",
    "config.leaseRetryPeriod": "1s",
    "watch.namespaces": ["shop"],
    "credentials.secretNames": ["*"],
    "credentials.defaultNamespaces": ["shop"],
    "resetPolicy.validationActions": ["Warn"],
    "resetPolicy.subjects": [{"kind": "ServiceAccount", "name": "argocd-server", "namespace": "argocd"}],
    "strategy": {"type": "Recreate", "rollingUpdate": None},
    "podSecurityContext": {"runAsUser": 65532},
    "securityContext": {"runAsUser": 65532},
    "terminationGracePeriodSeconds": 99,
    "livenessProbe": None,
    "readinessProbe": None,
    "podDisruptionBudget.minAvailable": 1,
    "networkPolicy.dnsTo": [],
    "networkPolicy.apiServerTo": [{"ipBlock": {"cidr": "192.0.2.1/32"}}],
    "networkPolicy.apiServerPorts": [8443],
    "networkPolicy.esaTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
    "proxy.url": "http://proxy.example.com:3128",
    "tracing.endpoint": "http://collector:4318",
    "networkPolicy.metricsFrom": [{"namespaceSelector": {}}],
    "networkPolicy.extraIngress": [{"from": []}],
    "networkPolicy.extraEgress": [{"to": []}],
    "metrics.renderMode": "skipIfMissing",
    "metrics.prometheusRule.disabled": [ALERT],
    "metrics.prometheusRule.runbookUrl": "https://runbooks.example.com",
    **{
        f"metrics.{monitor}.{name}": [{"action": "labeldrop", "regex": "pod"}]
        for monitor in ("serviceMonitor", "podMonitor")
        for name in ("relabelings", "metricRelabelings")
    },
    "startupProbe": {"failureThreshold": 30},
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["esa.example.com"]}],
    "metrics.service.ipFamilies": ["IPv6", "IPv4"],
    "rbac.extraRules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    "extraInitContainers": [{"name": "before", "image": "example.com/before:1"}],
    "extraContainers": [{"name": "beside", "image": "example.com/beside:1"}],
    "topologySpreadConstraints": [],
    "tolerations": [{"operator": "Exists"}],
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "extraArgs": ["--context=other"],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "extraObjects": [{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "{{ .Release.Name }}-more"}}],
}
# Everything that is off by default, at once.
FULL: Final[dict[str, Any]] = {
    "commonLabels": {"team": "edge"},
    "commonAnnotations": {"note": "yes"},
    "global": {"imagePullSecrets": [{"name": "pull"}]},
    "credentials": {"existingSecret": "own", "rrsa": {"enabled": True, "roleName": "esa"}},
    "resetPolicy": {"enabled": True, "aggregateToEdit": True, "subjects": OTHERS["resetPolicy.subjects"]},
    "priorityClassName": "system-cluster-critical",
    "networkPolicy": {"enabled": True},
    "proxy": {"url": "http://proxy.example.com:3128", "noProxy": ".example.com"},
    "caBundle": {"configMap": "ca"},
    "tracing": {"endpoint": "http://collector:4318"},
    "metrics": {
        "service": {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]},
        "serviceMonitor": {"enabled": True, "jobLabel": "team", "sampleLimit": 5000},
        "prometheusRule": {
            "enabled": True,
            "alertLabels": {"team": "edge"},
        },
        "grafanaDashboard": {"enabled": True},
    },
    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    "dnsPolicy": "ClusterFirst",
    "minReadySeconds": 5,
    "runtimeClassName": "gvisor",
    "schedulerName": "other",
    **{
        name: OTHERS[name]
        for name in (
            "tolerations",
            "startupProbe",
            "hostAliases",
            "extraEnv",
            "extraEnvFrom",
            "extraInitContainers",
            "extraContainers",
            "extraVolumes",
            "extraVolumeMounts",
            "extraObjects",
        )
    },
}


def nested(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    found: dict[str, Any] = value
    return found


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, dict) and isinstance(out.get(name), dict)
            out[name] = merged(out[name], value) if both else value
    return out


def default(path: str) -> Any:
    value: Any = VALUES
    for part in path.split("."):
        value = value[part]
    return value


def other(path: str) -> Any:
    """Return a valid value that is not the one by default."""
    if path in OTHERS:
        return OTHERS[path]
    value, schema = default(path), DESCRIBED[path].schema
    if "enum" in schema:
        return next(each for each in schema["enum"] if each != value)
    if str(schema.get("$ref", "")).endswith("duration"):
        return "77s"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, dict):
        return {"more": "42"}
    assert isinstance(value, str), f"{path} needs a line in OTHERS"
    return "other"
