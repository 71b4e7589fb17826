"""A nox session ends with the harness's own exit code; nox itself knows only 0 and 1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsal.core.verdicts import Ending, ExitCode, exit_code_of_ending
from rehearsal.core.waiting import wait_until
from rehearsal.stages.registry import STAGES

CHECKOUT = Path(__file__).resolve().parents[1]
# The project's sessions inside of nox's own, on an installation that is there already. The last one does what
# they must not do: it lets nox run the program.
SESSIONS = """
import importlib.util
import types

import nox
from nox import registry

spec = importlib.util.spec_from_file_location("project", {noxfile!r})
project = importlib.util.module_from_spec(spec)
spec.loader.exec_module(project)
project.install = lambda session, lock: None
sessions = registry.get()


@nox.session(venv_backend="none")
def ours(session):
    name, *arguments = session.posargs
    made = types.SimpleNamespace(bin={bin!r}, posargs=arguments)
    getattr(sessions[name], "func", sessions[name])(made)


@nox.session(venv_backend="none")
def planted(session):
    session.run({bin!r} + "/rehearsal", *session.posargs, external=True)
"""
PROGRAM_WITH_A_CODE = """#!/bin/sh
for last; do :; done
exit "$last"
"""
# `rehearsal e2e STAGE=DEED...` as a run of planted stages.
PROGRAM_WITH_STAGES = """#!/bin/sh
shift
export PYTHONPATH={harness}
exec {python} {planted} {folder} "$@"
"""


def _noxfile(folder: Path, program: str) -> Path:
    (folder / "rehearsal").write_text(program, encoding="utf-8")
    (folder / "rehearsal").chmod(0o755)
    file = folder / "noxfile.py"
    file.write_text(SESSIONS.format(noxfile=str(CHECKOUT / "noxfile.py"), bin=str(folder)), encoding="utf-8")
    return file


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """Return a noxfile whose `rehearsal` ends with the code that is its last argument."""
    return _noxfile(tmp_path, PROGRAM_WITH_A_CODE)


@pytest.fixture
def rehearsing(tmp_path: Path) -> Path:
    """Return a noxfile whose `rehearsal e2e` runs planted stages by the real machine."""
    planted = CHECKOUT / "tests" / "stages" / "planted_run.py"
    program = PROGRAM_WITH_STAGES.format(
        harness=CHECKOUT / "harness", python=sys.executable, planted=planted, folder=tmp_path / "run"
    )
    return _noxfile(tmp_path, program)


def _argv(file: Path, session: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "nox", "-f", str(file), "-s", session, "--", *arguments]


def _nox(file: Path, session: str, *arguments: str) -> int:
    argv = _argv(file, session, *arguments)
    return subprocess.run(argv, capture_output=True, check=False, timeout=100).returncode


@pytest.mark.parametrize("code", list(ExitCode))
def test_session_ends_with_the_code_of_the_program(sessions: Path, code: ExitCode) -> None:
    assert _nox(sessions, "ours", "doctor", str(int(code))) == code


@pytest.mark.parametrize("name", ["down", "e2e", "up", *(stage.name for stage in STAGES)])
def test_so_does_each_session_of_a_command(sessions: Path, name: str) -> None:
    assert _nox(sessions, "ours", name, str(int(ExitCode.INVALID))) == ExitCode.INVALID


def test_nox_by_itself_would_lose_the_code(sessions: Path) -> None:
    assert _nox(sessions, "planted", str(int(ExitCode.INVALID))) == ExitCode.FAIL


@pytest.mark.parametrize("ending", [one for one in Ending if one is not Ending.NOT_RUN])
def test_end_to_end_run_ends_with_the_code_of_its_worst_stage(rehearsing: Path, ending: Ending) -> None:
    code = _nox(rehearsing, "ours", "e2e", "contract=PASS", f"load={ending.value}")

    assert code == exit_code_of_ending(ending)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_session_lets_the_run_undo_what_it_changed(rehearsing: Path, number: signal.Signals) -> None:
    run = rehearsing.parent / "run"
    argv = _argv(rehearsing, "ours", "e2e", "load=wait")
    with subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as nox:
        wait_until("the stage that hangs", (run / "waiting").exists, timeout_seconds=60, hint="")
        if number == signal.SIGINT:
            os.killpg(nox.pid, number)  # as a terminal does
        else:
            nox.send_signal(number)
        code = nox.wait(60)

    assert (code, (run / "undone").read_text(encoding="utf-8")) == (ExitCode.INTERRUPTED, "load\n")


def test_every_stage_is_listed_with_its_sentence(sessions: Path) -> None:
    argv = [sys.executable, "-m", "nox", "-f", str(CHECKOUT / "noxfile.py"), "--list"]
    listed = subprocess.run(argv, capture_output=True, check=True, timeout=100, text=True).stdout

    assert [one.name for one in STAGES if f" {one.name} -> {one.summary}" not in listed] == []
