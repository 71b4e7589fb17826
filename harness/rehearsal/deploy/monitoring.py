"""Prometheus' configuration: production's, word for word, and what it lacks. Pure.

Its own job and its alerts stay as the guide has them, so that what they miss can be seen; jobs for what they
do not look at, and corrected alerts, stand beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import yaml

from rehearsal.deploy.manifests import Manifest, named

MONITORING = "mambogo-monitoring"
GUIDE = "prometheus-config"  # production's ConfigMaps
_CORRECTIONS = "prometheus-corrections"
GUIDE_RULES = "alert_rules.yml"
CORRECTED_RULES = "corrected.yml"
_NAME = "prometheus"
_DIGEST_CHARACTERS = 12


def configure(objects: Sequence[Manifest]) -> list[Manifest]:
    """Return the objects with Prometheus configured; the given ones stay as they are.

    A pod reads its files once, so its template carries their digest: other files roll it.
    """
    local = deepcopy(list(objects))
    guide: dict[str, str] = named(local, "ConfigMap", GUIDE)["data"]
    corrections: dict[str, str] = named(local, "ConfigMap", _CORRECTIONS)["data"]
    files = {
        "prometheus.yml": _merged(guide["prometheus.yml"], corrections["scrape.yml"]),
        GUIDE_RULES: guide[GUIDE_RULES],
        CORRECTED_RULES: corrections["rules.yml"],
    }
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    template = named(local, "Deployment", _NAME)["spec"]["template"]
    template["metadata"]["annotations"] = {"mambogo.com/configuration": digest[:_DIGEST_CHARACTERS]}
    return [*local, _config_map(files)]


def _config_map(files: dict[str, str]) -> Manifest:
    metadata = {"name": _NAME, "namespace": MONITORING}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}


def _merged(guide: str, own: str) -> str:
    configuration: dict[str, Any] = yaml.safe_load(guide)
    configuration["scrape_configs"] += yaml.safe_load(own)["scrape_configs"]
    configuration["rule_files"].append(CORRECTED_RULES)
    return yaml.safe_dump(configuration, sort_keys=False, width=1000)
