"""What the guide's own deploy step does with the manifests, before any cluster sees them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from rehearsal.deploy.releasing import BASE
from rehearsal.deploy.releasing import FOLDERS as OURS

from tests.workflows.guide import CHANGES, FOLDERS, deploy, prepare
from tests.workflows.steps import ROOT

# Notes what it is asked, and which kubeconfig it would use.
_NOTING = '#!/bin/sh\necho "$KUBECONFIG $*"\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    prepare(tmp_path, _NOTING)
    return tmp_path


def _said(place: Path) -> list[str]:
    ended = deploy(place, {}, os.environ["PATH"])
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def _deployments(folder: Path) -> dict[str, str]:
    return {one.name: one.read_text(encoding="utf-8") for one in (folder / "deployments").glob("*.yaml")}


def test_its_folders_are_ours_in_its_order(place: Path) -> None:
    assert _said(place) == [f"kubeconfig apply -f k8s/{folder}/" for folder in FOLDERS]
    assert [one for one in OURS if one in FOLDERS] == list(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_can_be_applied_by_itself(folder: str) -> None:
    assert list((ROOT / BASE / folder).glob("*.yaml"))
    assert not (ROOT / BASE / folder / "kustomization.yaml").exists()


def test_its_sed_changes_no_image(place: Path) -> None:
    _said(place)
    assert _deployments(place / "k8s") == _deployments(ROOT / BASE)


def test_its_sed_makes_no_manifest_of_one_with_latest(place: Path) -> None:
    for file in (place / "k8s" / "deployments").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(":v1.0.0", ":latest"), encoding="utf-8")
    _said(place)
    for name, text in _deployments(place / "k8s").items():
        with pytest.raises(yaml.YAMLError):
            list(yaml.safe_load_all(text))
        assert "image: ghcr.io/mambogo/shop/image: mambogo/" in text, name


def test_each_change_of_it_is_a_finding() -> None:
    text = (ROOT / "docs" / "production-findings.md").read_text(encoding="utf-8")
    assert set(CHANGES) <= set(re.findall(r"^### .* \[([a-z-]+)\]$", text, re.MULTILINE))
