"""The guide's own deploy step on the live cluster, word for word, up to the point where it would do harm.

Each `kubectl apply` is a dry run of the server's: the API server admits, defaults and validates everything,
and stores nothing. For real the step would replace what runs here by production's objects without what makes
them fit one machine: images that no registry here has, requests of production's size.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal.cluster.record import Record
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.deploy.manifests import PRODUCTION, Manifest, containers, identity
from rehearsal.deploy.releasing import read_steps
from rehearsal.supply.supplies import make_supplies

from tests.live.bench import Bench
from tests.workflows import guide
from tests.workflows.steps import ROOT

pytestmark = pytest.mark.cluster

_DRY = '#!/bin/sh\nexec "{program}" --context="{context}" "$@" --dry-run=server --output=json\n'
_KUBECTL_SECONDS = 120


@pytest.fixture(scope="module")
def place(
    folders: Paths, settings: Catalogue, made: Record, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Where the step finds its manifests, its kubeconfig and a kubectl that stores nothing."""
    kubectl = make_supplies(folders, settings, emit=lambda event: None, docker=None).tool("kubectl")
    here = tmp_path_factory.mktemp("guide")
    guide.prepare(here, _DRY.format(program=kubectl, context=made.spec.context))
    shutil.copyfile(folders.kubeconfig, here / "kubeconfig")
    (here / "kubeconfig").chmod(0o600)
    return here


@pytest.fixture(scope="module")
def stepped(place: Path) -> dict[str, Manifest]:
    """What the server would have stored, by identity."""
    ended = guide.deploy(place, {}, os.environ["PATH"])
    assert ended.returncode == 0, ended.stderr
    return {identity(one): one for one in _objects(ended.stdout)}


def _objects(said: str) -> Iterator[Manifest]:
    """Yield the objects of kubectl's answers, one after another: of one object, or of a list."""
    decoder = json.JSONDecoder()
    while said := said.lstrip():
        answer, end = decoder.raw_decode(said)
        said = said[end:]
        yield from answer["items"] if answer["kind"] == "List" else [answer]


def test_the_server_takes_every_object_of_its_folders(stepped: dict[str, Manifest]) -> None:
    folders = [step for step in read_steps(ROOT) if step.folder in guide.FOLDERS]
    assert set(stepped) == {identity(one) for step in folders for one in step.objects}


def test_nothing_is_stored(stepped: dict[str, Manifest], bench: Bench) -> None:
    live = bench.apps.list_namespaced_deployment(PRODUCTION).items
    images = {one.spec.template.spec.containers[0].image for one in live}
    assert images
    assert [one for one in images if one.startswith("mambogo/")] == []


def test_sed_ampersand_it_deploys_the_images_that_it_began_with(stepped: dict[str, Manifest]) -> None:
    images = {one["image"] for one in containers(stepped.values())}
    assert images
    assert [one for one in images if not (one.startswith("mambogo/") and one.endswith(":v1.0.0"))] == []


def test_folders_left_out_it_leaves_autoscalers_budgets_and_policies_as_they_are(
    stepped: dict[str, Manifest],
) -> None:
    kinds = {one["kind"] for one in stepped.values()}
    assert kinds.isdisjoint({"HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"})


def test_migrations_in_pipeline_it_runs_none_and_one_more_line_could_not(
    stepped: dict[str, Manifest], place: Path
) -> None:
    assert "Job" not in {one["kind"] for one in stepped.values()}
    ended = subprocess.run(
        [str(place / "bin" / "kubectl"), "apply", "-f", "k8s/jobs/"],
        cwd=place,
        env={"PATH": os.environ["PATH"], "KUBECONFIG": "kubeconfig"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_KUBECTL_SECONDS,
    )
    assert ended.returncode != 0
    assert "field is immutable" in ended.stderr


def test_the_secret_store_s_values_stay(stepped: dict[str, Manifest]) -> None:
    # The manifests have none, and what is not in them is not theirs to remove.
    secrets = {one["metadata"]["name"]: one for one in stepped.values() if one["kind"] == "Secret"}
    assert secrets
    assert [name for name, one in secrets.items() if not one.get("data")] == []
