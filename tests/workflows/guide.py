"""The deploy step of production's guide, word for word, and a place in which it can be run.

The guide's folders lie in `k8s/`; `k8s/base` has the same ones, so a copy of it stands in their place.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rehearsal.deploy.releasing import BASE

from tests.workflows.steps import ROOT, run_script

FOLDERS = ("namespace", "config", "secrets", "deployments", "services")
REGISTRY, IMAGE_NAME = "ghcr.io", "mambogo/shop"
# What GitHub makes of `${{ env.REGISTRY }}/${{ env.IMAGE_NAME }}` is put in; all else is the guide's.
_SED = f"s|image: mambogo/.*:latest|image: {REGISTRY}/{IMAGE_NAME}/&:latest|g"
DEPLOY = f"""\
export KUBECONFIG=kubeconfig

# Update image tags in deployment files
find k8s/deployments -name "*.yaml" -exec sed -i "{_SED}" {{}} \\;

# Apply deployments
kubectl apply -f k8s/namespace/
kubectl apply -f k8s/config/
kubectl apply -f k8s/secrets/
kubectl apply -f k8s/deployments/
kubectl apply -f k8s/services/
"""
# What has to be changed about the step, each by the name of its finding in docs/production-findings.md; the
# tests of the step show each of them, here or on the cluster.
CHANGES = ("kubeconfig-in-script", "sed-ampersand", "latest", "folders-left-out", "migrations-in-pipeline")


def prepare(place: Path, kubectl: str) -> None:
    """Put the manifests where the guide has them, and a program of this text for kubectl."""
    shutil.copytree(ROOT / BASE, place / "k8s")
    program = place / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(kubectl, encoding="utf-8")
    program.chmod(0o755)


def deploy(place: Path, env: Mapping[str, str], path: str) -> subprocess.CompletedProcess[str]:
    """Run the guide's step there."""
    return run_script(DEPLOY, env=env, cwd=place, path=f"{place / 'bin'}:{path}")
