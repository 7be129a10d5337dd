"""Nothing that was planted comes out: keys, tokens, query strings, in whatever place."""

from __future__ import annotations

import json

from esa_preload_operator.cli.plugin.diagnose.redaction import REMOVED, hashed, redactor
from support.plugin_jobs import job

PLANTED = (
    "LTAI5tPlantedKeyId99", "PlantedSecretValue0123456789", "CAISplantedSecurityToken", "plantedSignature",
    "eyJhbGciOiJSUzI1.eyJpc3MiOiJrd.c2lnbmF0", "planted-reset-token", "cGxhbnRlZA==", "planted-password",
    "planted-login", "planted-applied",
)  # fmt: skip
OBJECT = {
    "kind": "List",
    "items": [
        {"kind": "Secret", "data": {"accessKeySecret": "cGxhbnRlZA=="},
         "stringData": {"x": "PlantedSecretValue0123456789"}},
        {"metadata": {"managedFields": ["planted-applied"], "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "planted-applied",
            "resetRequested": "planted-reset-token"}}},
        {"spec": {"ossUrl": "https://b.oss.example/l?Signature=plantedSignature&OSSAccessKeyId=LTAI5tPlantedKeyId99",
                  "urls": ["https://user:planted-password@www.example.com/a?token=planted-login"]}},
        {"env": [{"name": "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "value": "PlantedSecretValue0123456789"},
                 {"name": "ANY", "value": "planted-password"}, {"name": "ESA_OPERATOR_ENDPOINT", "value": "china"},
                 {"name": "POD_ID", "valueFrom": {"fieldRef": {}}}]},
        {"status": {"handledResets": {"resetRequested": "planted-reset-token"},
                    "reset": {"tokens": {"resetRequested": "planted-reset-token"},
                              "signing": {"nonce": "plantedSignature"}}}},
        {"args": ["--token=planted-login", "security_token: CAISplantedSecurityToken"]},
        {"message": "Authorization: Bearer eyJhbGciOiJSUzI1.eyJpc3MiOiJrd.c2lnbmF0 failed"},
        {"securityToken": "CAISplantedSecurityToken", "token": ["planted-login"]},
    ],
}  # fmt: skip
LOG = """\
2026 INFO    web/nightly: reset Succeeded for {'resetRequested': 'planted-reset-token'}
2026 WARNING accessKeySecret=PlantedSecretValue0123456789 AccessKeyId LTAI5tPlantedKeyId99
2026 WARNING GET https://b.oss.example/l?Signature=plantedSignature
2026 WARNING {"password": "planted-password", "token":"planted-login"}
"""


def test_nothing_secret_leaves_objects_or_logs() -> None:
    remove = redactor([job(annotations={"resetRequested": "planted-reset-token"})], hidden=("planted-login",))
    text = json.dumps(remove.data(OBJECT)) + remove.lines(LOG)
    assert [each for each in PLANTED if each in text] == []


def test_what_a_maintainer_needs_stays() -> None:
    remove = redactor([job(handledResets={"resetRequested": "deploy-1"})])
    text = json.dumps(remove.data(OBJECT))
    assert '"ESA_OPERATOR_ENDPOINT", "value": "china"' in text
    assert "https://b.oss.example/l" in text
    assert '"POD_ID", "valueFrom"' in text
    assert REMOVED in text
    status = remove.data(
        {"handledResets": {"resetRequested": "deploy-1"}, "spec": {"credentialsSecretRef": {"name": "s"}}}
    )
    assert status == {
        "handledResets": {"resetRequested": hashed("deploy-1")},
        "spec": {"credentialsSecretRef": {"name": "s"}},
    }
    assert remove.line("reset for 'deploy-1'") == f"reset for '{hashed('deploy-1')}'"


def test_a_token_that_is_a_time_stays_because_it_tells_when() -> None:
    remove = redactor([job(handledResets={"resetRequested": "2026-11-30T00:00:00Z"})])
    assert remove.line("at 2026-11-30T00:00:00Z") == "at 2026-11-30T00:00:00Z"
