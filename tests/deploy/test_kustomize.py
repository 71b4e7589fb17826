"""The tests' reader of kustomizations, against kustomize itself and against what it must refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from rehearsal.deploy import kustomize
from rehearsal.deploy.manifests import Manifest, identity

from tests import tools
from tests.deploy.base import BASE, GRAFANA, LOCAL, PRODUCTION, ROOT, build

_SUFFIX = r"-[0-9a-z]{10}"


@pytest.fixture(scope="module")
def kubectl() -> Path:
    return tools.kubectl()


def _generated(folder: Path) -> list[str]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return [one["name"] for one in kustomization.get("configMapGenerator", ())]


def _without_suffixes(objects: list[Manifest], names: list[str]) -> list[Manifest]:
    text = json.dumps(objects)
    for name in names:
        text = re.sub(f'"{name}{_SUFFIX}"', f'"{name}"', text)
    plain: list[Manifest] = json.loads(text)
    return plain


@pytest.mark.parametrize(
    "folder", [BASE, PRODUCTION, LOCAL, GRAFANA], ids=lambda one: str(one.relative_to(ROOT))
)
def test_the_reader_makes_what_kustomize_makes(kubectl: Path, folder: Path) -> None:
    made = _without_suffixes(kustomize.build(kubectl, folder), _generated(folder))
    assert sorted(made, key=identity) == sorted(build(folder), key=identity)


_OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "value"}}
_TARGET = {"kind": "ConfigMap", "name": "a"}


def _patch(*steps: object) -> dict[str, object]:
    return {"patches": [{"target": _TARGET, "patch": yaml.safe_dump(list(steps))}]}


def _folder(folder: Path, **content: object) -> Path:
    (folder / "one.yaml").write_text(yaml.safe_dump(_OBJECT))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["one.yaml"], **content}))
    return folder


def test_a_field_is_replaced(tmp_path: Path) -> None:
    (one,) = build(_folder(tmp_path, **_patch({"op": "replace", "path": "/data/key", "value": "other"})))
    assert one["data"] == {"key": "other"}


REFUSED: dict[str, dict[str, object]] = {
    "images": {"images": [{"name": "mambogo/order-service", "newTag": "x"}]},
    "commonLabels": {"commonLabels": {"team": "shop"}},
    "labels": {"labels": [{"pairs": {"team": "shop"}}]},
    "replicas": {"replicas": [{"name": "order-service", "count": 1}]},
    "namespace": {"namespace": "elsewhere"},
    "namePrefix": {"namePrefix": "new-"},
    "components": {"components": ["../part"]},
    "secretGenerator": {"secretGenerator": [{"name": "b", "literals": ["a=b"]}]},
    "patchesStrategicMerge": {"patchesStrategicMerge": ["one.yaml"]},
    "strategic patch": {"patches": [{"target": _TARGET, "patch": yaml.safe_dump(_OBJECT)}]},
    "patch from a file": {"patches": [{"target": _TARGET, "path": "one.yaml"}]},
    "target by label": {"patches": [{"target": {**_TARGET, "labelSelector": "a=b"}, "patch": "[]"}]},
    "target of nothing": {"patches": [{"target": {"kind": "ConfigMap", "name": "b"}, "patch": "[]"}]},
    "generator of literals": {"configMapGenerator": [{"name": "b", "namespace": "n", "literals": ["a=b"]}]},
    "generator that merges": {"configMapGenerator": [{"name": "a", "behavior": "merge", "files": []}]},
    "replacing nothing": _patch({"op": "replace", "path": "/data/other", "value": "x"}),
    "removing": _patch({"op": "remove", "path": "/data/key"}),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_the_reader_does_not_know_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not known"):
        build(_folder(tmp_path, **REFUSED[name]))


def test_a_missing_program_is_a_failure_where_nothing_may_be_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    monkeypatch.setenv(tools.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match=r"\.ci/promtool build/ci-tools/bin"):
        tools.promtool()


def test_elsewhere_it_is_skipped_with_what_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    monkeypatch.delenv(tools.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"\.ci/promtool build/ci-tools/bin"):
        tools.promtool()
