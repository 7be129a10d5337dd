"""No file is shipped that no test would miss: change what a file says, and the module named here fails."""

from __future__ import annotations

import subprocess
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What stands first counts. Generated files are also compared with their sources by `make lint`.
COVERED_BY = {
    "argocd/example/job.yaml": "deploy/test_examples.py",
    "argocd/example/reset-after-sync.yaml": "cluster/test_argocd_gitops.py",
    "argocd/application.yaml": "deploy/test_argocd_files.py",
    "argocd/apps/*": "deploy/test_argocd_files.py",
    "argocd/argo*.yaml": "deploy/test_argocd_files.py",
    "argocd/resource_customizations/*": "deploy/test_argocd.py",
    "examples/*": "deploy/test_examples.py",
    "flux/*": "deploy/test_flux.py",
    "helm/*/.helmignore": "deploy/test_release.py",
    "helm/*/templates/NOTES.txt": "deploy/test_helm.py",
    "helm/*/templates/resetpolicy.yaml": "deploy/test_helm.py",
    "helm/*/templates/monitors.yaml": "deploy/test_helm.py",
    "helm/*/templates/prometheusrule.yaml": "deploy/test_helm.py",
    "helm/*/templates/dashboard.yaml": "deploy/test_chart_companions.py",
    "helm/*/templates/networkpolicy.yaml": "deploy/test_chart_companions.py",
    "helm/*/templates/tests/*": "deploy/test_chart_companions.py",
    "helm/*": "deploy/test_chart.py",
    "k9s/*": "deploy/test_plugin_files.py",
    "krew/*": "deploy/test_plugin_files.py",
    "kustomize/overlays/demo/job.yaml": "deploy/test_examples.py",
    "kustomize/*": "deploy/test_kustomize.py",
    "monitoring/*": "deploy/test_monitoring.py",
    "ram/*": "deploy/test_ram.py",
}


def test_every_shipped_file_has_a_test() -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT / "deploy", capture_output=True, text=True, check=True
    ).stdout.split()
    used = {next((pattern for pattern in COVERED_BY if fnmatch(file, pattern)), file) for file in files}
    assert used == set(COVERED_BY)
    assert all((ROOT / "tests" / module).is_file() for module in COVERED_BY.values())
