"""Prometheus' configuration: the guide's, word for word, and what it lacks."""

from __future__ import annotations

from typing import Any

import yaml
from rehearsal.deploy.manifests import Manifest, named
from rehearsal.deploy.monitoring import CORRECTED_RULES, GUIDE, GUIDE_RULES, configure

from tests.deploy.base import base_objects, overlay_objects

_GUIDE: dict[str, str] = named(base_objects(), "ConfigMap", GUIDE)["data"]
_CONFIGURED = configure(overlay_objects())


def _files(objects: list[Manifest]) -> dict[str, str]:
    files: dict[str, str] = named(objects, "ConfigMap", "prometheus")["data"]
    return files


def _configuration(objects: list[Manifest]) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(_files(objects)["prometheus.yml"])
    return parsed


def test_the_guide_s_rules_are_there_word_for_word() -> None:
    assert _files(_CONFIGURED)[GUIDE_RULES] == _GUIDE[GUIDE_RULES]


def test_the_guide_s_configuration_is_there_with_more_after_it() -> None:
    guide, here = yaml.safe_load(_GUIDE["prometheus.yml"]), _configuration(_CONFIGURED)
    count = len(guide["scrape_configs"])
    assert here["scrape_configs"][:count] == guide["scrape_configs"]
    assert here["rule_files"] == [*guide["rule_files"], CORRECTED_RULES]
    assert {**here, "scrape_configs": 0, "rule_files": 0} == {**guide, "scrape_configs": 0, "rule_files": 0}


def test_what_the_guide_does_not_scrape_is_scraped() -> None:
    jobs = [one["job_name"] for one in _configuration(_CONFIGURED)["scrape_configs"]]
    assert jobs == ["kubernetes-pods", "cadvisor", "kube-state-metrics", "prometheus", "alertmanager"]


def test_every_file_that_is_named_is_there() -> None:
    assert set(_configuration(_CONFIGURED)["rule_files"]) <= set(_files(_CONFIGURED))


def _mark(objects: list[Manifest]) -> str:
    template = named(objects, "Deployment", "prometheus")["spec"]["template"]
    return str(template["metadata"]["annotations"]["mambogo.com/configuration"])


def test_other_files_roll_the_pod() -> None:
    changed = overlay_objects()
    named(changed, "ConfigMap", GUIDE)["data"][GUIDE_RULES] += "# changed\n"
    assert _mark(configure(changed)) != _mark(_CONFIGURED) == _mark(configure(overlay_objects()))


def test_the_given_objects_stay_as_they_are() -> None:
    given = overlay_objects()
    configure(given)
    assert given == overlay_objects()
