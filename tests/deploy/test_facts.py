"""k8s/base against the guide, fact by fact, and every deviation against its finding or reason.

Of what the guide gives whole (docs/production-guide) no field of either side may be without a fact.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from rehearsal.deploy.manifests import Manifest, parse

from tests.deploy.base import BASE, ROOT, base_objects

_ABSENT = "(absent)"
_READ = tomllib.loads((ROOT / "k8s" / "facts.toml").read_text())
FACTS: list[dict[str, Any]] = _READ["fact"]
TEXTS: list[dict[str, Any]] = _READ["text"]
FINDINGS = re.findall(
    r"^### .* \[([a-z0-9-]+)\]$", (ROOT / "docs" / "production-findings.md").read_text(), re.M
)
GUIDE = {
    f"{one['kind']} {one['metadata']['name']}": one
    for file in ("order-service.yaml", "prometheus-config.yaml")
    for one in parse((ROOT / "docs" / "production-guide" / file).read_text())
}
_ORDER = "order-service"
# In what the other five differ from order-service: the finding [one-of-six].
OTHERS = [f"{name}-service" for name in ("gateway", "product", "cart", "payment", "inventory")]
_OWN_FIELDS = re.compile(
    r"spec\.strategy\.rollingUpdate\..*|spec\.(min|max)Replicas|.*metadata\.labels\.tier|spec\.type"
    r"|spec\.template\.spec\.containers\.0\.env\..*"
)
# Say which object it is.
_IDENTITY = {"kind", "metadata.name"}
_EDITS = [edit for text in TEXTS for edit in text.get("edit", ())]
DEVIATIONS = [one for one in (*FACTS, *TEXTS, *_EDITS) if "finding" in one or "reason" in one]


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
        return next((one for one in value if one.get("name") == part), _ABSENT)
    return value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT


def _fields(value: Any, field: str = "") -> Iterator[str]:
    """Yield the field of each leaf as facts name it."""
    if isinstance(value, Mapping) and value:
        parts = [(key.replace(".", "\\."), item) for key, item in value.items()]
    elif isinstance(value, list) and value:
        parts = list(enumerate(value))
        if field.endswith(".env"):
            parts = [(one["name"], {key: one[key] for key in one if key != "name"}) for one in value]
    else:
        yield field
        return
    for part, item in parts:
        yield from _fields(item, f"{field}.{part}" if field else str(part))


def _object(name: str) -> Manifest:
    kind, _, own = name.partition(" ")
    found = [one for one in base_objects() if (one["kind"], one["metadata"]["name"]) == (kind, own)]
    assert len(found) == 1, f"{name}: {len(found)} in k8s/base"
    return found[0]


def _without_fact(name: str, one: Manifest) -> set[str]:
    stated = {fact["field"] for fact in (*FACTS, *TEXTS) if fact["object"] == name}
    return set(_fields(one)) - stated - _IDENTITY


def _deviates(fact: Mapping[str, Any]) -> bool:
    return "finding" in fact or "reason" in fact


@pytest.mark.parametrize("fact", FACTS, ids=lambda one: f"{one['object']} {one['field']}")
def test_the_base_holds_what_the_guide_says_or_what_is_said_instead(fact: dict[str, Any]) -> None:
    wanted = fact.get("base", _ABSENT) if _deviates(fact) else fact["guide"]
    assert _look(_object(fact["object"]), fact["field"]) == wanted


@pytest.mark.parametrize("name", sorted(GUIDE))
def test_a_fact_says_of_the_guide_what_the_guide_says(name: str) -> None:
    facts = [one for one in FACTS if one["object"] == name]
    said = {one["field"]: one.get("guide", _ABSENT) for one in facts}
    assert {field: _look(GUIDE[name], field) for field in said} == said


@pytest.mark.parametrize("name", sorted(GUIDE))
def test_every_field_of_the_guide_s_objects_has_a_fact(name: str) -> None:
    assert _without_fact(name, GUIDE[name]) == set()


@pytest.mark.parametrize("name", sorted(GUIDE))
def test_every_field_that_the_base_has_besides_has_a_fact(name: str) -> None:
    assert _without_fact(name, _object(name)) == set()


def test_a_field_that_nobody_stated_would_be_seen() -> None:
    planted = deepcopy(_object("Deployment order-service"))
    container = planted["spec"]["template"]["spec"]["containers"][0]
    container["env"].append({"name": "EXTRA", "value": "1"})
    container["readinessProbe"]["httpGet"]["scheme"] = "HTTPS"
    prefix = "spec.template.spec.containers.0."
    assert _without_fact("Deployment order-service", planted) == {
        f"{prefix}env.EXTRA.value",
        f"{prefix}readinessProbe.httpGet.scheme",
    }


def _shape(one: Manifest, name: str) -> dict[str, Any]:
    """Return the values of an object's fields, but for those that are a service's own, without its name."""
    plain = json.loads(json.dumps(one).replace(name, "NAME"))
    return {field: _look(plain, field) for field in _fields(plain) if not _OWN_FIELDS.fullmatch(field)}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("object_", [one for one in sorted(GUIDE) if _ORDER in one])
def test_the_other_five_have_the_shape_of_the_one_that_the_guide_describes(object_: str, name: str) -> None:
    other = _object(object_.replace(_ORDER, name))
    assert _shape(other, name) == _shape(_object(object_), _ORDER)


def _edited(text: str, edits: list[dict[str, str]]) -> str:
    for edit in edits:
        assert text.count(edit["guide"]) == 1, edit["guide"]
        text = text.replace(edit["guide"], edit["base"])
    return text


def _plain(text: Any) -> str:
    return "\n".join(line.rstrip() for line in str(text).splitlines())


@pytest.mark.parametrize("text", TEXTS, ids=lambda one: one["field"])
def test_a_text_is_the_guide_s_whole_but_for_the_edits_that_are_named(text: dict[str, Any]) -> None:
    guide = _look(GUIDE[text["object"]], text["field"])
    here = _plain(_look(_object(text["object"]), text["field"]))
    if guide is _ABSENT:
        assert _deviates(text)
        assert here != _ABSENT
    else:
        assert here == _edited(_plain(guide), text.get("edit", []))


@pytest.mark.parametrize("one", DEVIATIONS, ids=lambda one: one.get("finding", one.get("field")))
def test_a_deviation_has_a_finding_or_a_reason_and_is_one(one: dict[str, Any]) -> None:
    assert one["finding"] in FINDINGS if "finding" in one else one["reason"].endswith(".")
    assert "guide" not in one or one["guide"] != one.get("base", _ABSENT)


def test_no_two_findings_have_one_name() -> None:
    assert len(set(FINDINGS)) == len(FINDINGS)


def test_no_fact_is_stated_twice() -> None:
    places = [(one["object"], one["field"]) for one in (*FACTS, *TEXTS)]
    assert len(set(places)) == len(places)


def test_only_the_top_of_the_base_has_a_kustomization() -> None:
    # A folder that has one cannot be applied by `kubectl apply -f`, as the pipeline does.
    assert [path.parent for path in BASE.rglob("kustomization.yaml")] == [BASE]


def test_every_file_of_the_base_is_listed() -> None:
    listed = re.findall(r"^  - (\S+)$", (BASE / "kustomization.yaml").read_text(), re.M)
    there = [str(path.relative_to(BASE)) for path in BASE.rglob("*.yaml") if path.parent != BASE]
    assert sorted(listed) == sorted(there)
