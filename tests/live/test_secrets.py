"""No credential of the stack is where others read: logs, objects, images, Tilt's state, the repository."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from docker.errors import ImageNotFound
from kubernetes.client import ApiException
from rehearsal.cluster.engine import connect
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.paths import Paths
from rehearsal.deploy.tilt import require_free_port
from rehearsal.shop.accounts import CREDENTIALS, read_credentials
from rehearsal.supply.supplies import make_supplies

from tests.live.bench import Bench
from tests.live.conftest import ROOT
from tests.live.leaks import Needles

pytestmark = pytest.mark.cluster

_TAIL_LINES = 5000  # of each container; the start of those of databases and of Keycloak is among them
_TILT_SECONDS = 60.0
_PART_BYTES = 1 << 20
# What a pod answers that is gone, or has not started.
_NOTHING_SAID = (400, 404)


@pytest.fixture(scope="module")
def needles(folders: Paths) -> Needles:
    return Needles(read_credentials(folders.state))


def test_every_credential_is_looked_for(needles: Needles, folders: Paths) -> None:
    assert len(needles) == len(json.loads((folders.state / CREDENTIALS).read_text(encoding="utf-8"))) > 0


def test_the_secrets_of_the_cluster_hold_them(needles: Needles, bench: Bench) -> None:
    # Else what is looked for below is not what the stack uses.
    held = bench.core.list_secret_for_all_namespaces(_preload_content=False).data
    assert len(needles.found(held)) == len(needles)


def test_no_pod_says_one(needles: Needles, bench: Bench) -> None:
    leaks: dict[str, list[str]] = {}
    looked = 0
    for pod in bench.core.list_pod_for_all_namespaces().items:
        for container, previous in _runs(pod):
            text = _log(bench, pod, container, previous=previous)
            looked += bool(text)
            if names := needles.found(text):
                leaks[f"{pod.metadata.name}/{container}"] = names
    assert looked > 0
    assert leaks == {}


@pytest.mark.parametrize("kind", ["config_map", "pod", "event", "service"])
def test_no_object_holds_one(needles: Needles, bench: Bench, kind: str) -> None:
    listed = getattr(bench.core, f"list_{kind}_for_all_namespaces")(_preload_content=False).data
    assert json.loads(listed)["items"] or kind == "event"  # the API server forgets them after an hour
    assert needles.found(listed) == []


@pytest.mark.parametrize("kind", ["deployment", "stateful_set", "daemon_set"])
def test_no_workload_holds_one(needles: Needles, bench: Bench, kind: str) -> None:
    listed = getattr(bench.apps, f"list_{kind}_for_all_namespaces")(_preload_content=False).data
    assert json.loads(listed)["items"]
    assert needles.found(listed) == []


def test_no_image_s_configuration_or_history_holds_one(needles: Needles) -> None:
    with contextlib.closing(connect()) as client:
        images = client.images.list()
        leaks = {}
        for one in images:
            with contextlib.suppress(ImageNotFound):  # somebody has removed it since
                if names := needles.found(json.dumps([one.attrs, one.history()]).encode()):
                    leaks[str(one.tags or one.id)] = names
    assert images
    assert leaks == {}


def test_neither_tilt_s_snapshot_nor_any_log_on_disk_holds_one(needles: Needles, folders: Paths) -> None:
    files = [one for one in folders.logs.rglob("*") if one.is_file()]
    assert files
    leaks = {str(one.relative_to(folders.logs)): names for one in files if (names := _in_file(needles, one))}
    assert leaks == {}


def test_a_tilt_that_runs_knows_none(needles: Needles, folders: Paths, settings: Catalogue) -> None:
    if not _is_tilt(settings.ports.tilt):
        pytest.skip("no Tilt is running; what the last one left is in the snapshot")
    tilt = make_supplies(folders, settings, emit=lambda event: None, docker=None).tool("tilt")
    states = {what: _dump(tilt, settings.ports.tilt, what) for what in ("engine", "webview")}
    assert all(states.values())
    assert {what: names for what, state in states.items() if (names := needles.found(state))} == {}


def test_no_object_of_the_repository_holds_one(needles: Needles) -> None:
    argv = ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as git:
        assert git.stdout is not None
        names = needles.found_in(_parts(git.stdout))
    assert git.returncode == 0
    assert names == []


def _runs(pod: Any) -> Iterator[tuple[str, bool]]:
    """Yield each container of a pod, and whether the run before its last is meant."""
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    for one in statuses:
        yield one.name, False
        if one.restart_count:
            yield one.name, True


def _log(bench: Bench, pod: Any, container: str, *, previous: bool) -> bytes:
    try:
        said = bench.core.read_namespaced_pod_log(
            pod.metadata.name,
            pod.metadata.namespace,
            container=container,
            previous=previous,
            tail_lines=_TAIL_LINES,
            _preload_content=False,
        )
    except ApiException as error:
        if error.status not in _NOTHING_SAID:
            raise
        return b""
    return bytes(said.data)


def _in_file(needles: Needles, path: Path) -> list[str]:
    with path.open("rb") as opened:
        return needles.found_in(_parts(opened))


def _parts(opened: IO[bytes]) -> Iterator[bytes]:
    while part := opened.read(_PART_BYTES):
        yield part


def _is_tilt(port: int) -> bool:
    try:
        require_free_port(port)
    except EnvironmentNotReadyError as error:
        return error.code == "TILT_ALREADY_RUNNING"
    return False


def _dump(tilt: Path, port: int, what: str) -> bytes:
    return subprocess.run(
        [str(tilt), "dump", what, f"--port={port}"],
        capture_output=True,
        check=True,
        timeout=_TILT_SECONDS,
    ).stdout
