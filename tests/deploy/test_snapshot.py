"""Reading what Tilt 0.37.6 really wrote: one run that was well, one that could not pull its image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.deploy.snapshot import TAIL_LINES, Snapshot, read

_FOLDER = Path(__file__).parent / "snapshots"


@pytest.fixture
def green() -> Snapshot:
    return read(_FOLDER / "green.json")


@pytest.fixture
def pull_failed() -> Snapshot:
    return read(_FOLDER / "pull-failed.json")


def _changed(tmp_path: Path, change: dict[str, Any]) -> Snapshot:
    raw = json.loads((_FOLDER / "green.json").read_text())
    raw["view"]["uiResources"][1]["status"].update(change)
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps(raw))
    return read(path)


def test_a_resource_that_is_well_is_settled(green: Snapshot) -> None:
    assert [(one.name, one.settled, one.failed) for one in green.workloads] == [("echo", True, False)]


def test_the_tiltfile_is_told_from_the_workloads(green: Snapshot) -> None:
    assert green.tiltfile is not None
    assert green.tiltfile.settled
    assert "(Tiltfile)" not in [one.name for one in green.workloads]


def test_what_was_applied_is_named(green: Snapshot) -> None:
    assert green.workloads[0].objects == ("rehearsal-echo:namespace", "echo:service", "echo:deployment")


def test_a_failed_pod_gives_kubernetes_reason(pull_failed: Snapshot) -> None:
    echo = pull_failed.workloads[0]
    assert echo.failed
    assert echo.error.startswith("ErrImagePull: failed to pull and unpack image")


def test_the_last_log_lines_belong_to_the_resource(pull_failed: Snapshot) -> None:
    tail = pull_failed.workloads[0].log_tail
    assert len(tail) == TAIL_LINES
    assert "ImagePullBackOff" in tail[-1]


def test_a_failed_build_gives_the_newest_build_s_error(tmp_path: Path) -> None:
    builds = [{"error": "build failed: no such file"}, {"error": "an older one"}]
    state = _changed(tmp_path, {"updateStatus": "error", "buildHistory": builds}).workloads[0]
    assert state.error == "build failed: no such file"


def test_a_disabled_resource_is_no_workload(tmp_path: Path) -> None:
    assert _changed(tmp_path, {"disableStatus": {"state": "Disabled"}}).workloads == ()


def test_a_pending_resource_is_neither_settled_nor_failed(tmp_path: Path) -> None:
    state = _changed(tmp_path, {"runtimeStatus": "pending"}).workloads[0]
    assert (state.settled, state.failed) == (False, False)


def test_a_status_that_is_not_known_is_not_taken_for_well(tmp_path: Path) -> None:
    assert not _changed(tmp_path, {"runtimeStatus": "sleepy"}).workloads[0].settled


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"view": {"uiResources": [{}]}}'])
def test_a_broken_file_is_the_harness_s_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text(content)
    with pytest.raises(HarnessError, match="TILT_SNAPSHOT_UNREADABLE"):
        read(path)
