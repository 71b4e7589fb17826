"""k8s/base against the guide, fact by fact, and every deviation against its finding."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from tests.deploy.base import BASE, ROOT, base_objects

_ABSENT = "(absent)"
FACTS = tomllib.loads((ROOT / "k8s" / "facts.toml").read_text())["fact"]
FINDINGS = re.findall(r"^### .* \[([a-z-]+)\]$", (ROOT / "docs" / "production-findings.md").read_text(), re.M)


def _look(value: Any, field: str) -> Any:
    for part in re.split(r"(?<!\\)\.", field):
        value = _step(value, part.replace("\\.", "."))
        if value is _ABSENT:
            return _ABSENT
    return value


def _step(value: Any, part: str) -> Any:
    if isinstance(value, list):
        if part.isdecimal():
            return value[int(part)] if int(part) < len(value) else _ABSENT
        # A variable of the environment, by its name.
        return next((one.get("value", _ABSENT) for one in value if one.get("name") == part), _ABSENT)
    return value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT


def _object(name: str) -> Any:
    kind, _, own = name.partition(" ")
    found = [one for one in base_objects() if (one["kind"], one["metadata"]["name"]) == (kind, own)]
    assert len(found) == 1, f"{name}: {len(found)} in k8s/base"
    return found[0]


@pytest.mark.parametrize("fact", FACTS, ids=lambda one: f"{one['object']} {one['field']}")
def test_the_base_holds_what_the_guide_says_or_what_a_finding_says_instead(fact: dict[str, Any]) -> None:
    wanted = fact.get("base", _ABSENT) if "finding" in fact else fact["guide"]
    assert _look(_object(fact["object"]), fact["field"]) == wanted


@pytest.mark.parametrize("fact", [one for one in FACTS if "finding" in one], ids=lambda one: one["finding"])
def test_a_deviation_names_a_finding_and_is_one(fact: dict[str, Any]) -> None:
    assert fact["finding"] in FINDINGS
    assert fact.get("guide", _ABSENT) != fact.get("base", _ABSENT)


def test_no_two_findings_have_one_name() -> None:
    assert len(set(FINDINGS)) == len(FINDINGS)


def test_no_fact_is_stated_twice() -> None:
    places = [(one["object"], one["field"]) for one in FACTS]
    assert len(set(places)) == len(places)


def test_the_guide_s_prometheus_configuration_is_there_as_written() -> None:
    text = (BASE / "monitoring" / "prometheus-config.yaml").read_text()
    assert 'expr: rate(http_requests_total{status=~"5.."}[5m]) > 0.1' in text


def test_only_the_top_of_the_base_has_a_kustomization() -> None:
    # A folder that has one cannot be applied by `kubectl apply -f`, as the pipeline does.
    assert [path.parent for path in BASE.rglob("kustomization.yaml")] == [BASE]


def test_every_file_of_the_base_is_listed() -> None:
    listed = re.findall(r"^  - (\S+)$", (BASE / "kustomization.yaml").read_text(), re.M)
    there = [str(path.relative_to(BASE)) for path in BASE.rglob("*.yaml") if path.parent != BASE]
    assert sorted(listed) == sorted(there)
