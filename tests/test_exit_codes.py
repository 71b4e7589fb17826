"""A nox session ends with the harness's own exit code; nox itself knows only 0 and 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rehearsal.core.verdicts import ExitCode

NOXFILE = Path(__file__).resolve().parents[1] / "noxfile.py"
# The project's sessions inside of nox's own, on an installation that is there already. The last one does what
# they must not do: it lets nox run the program.
SESSIONS = """
import importlib.util
import types

import nox

spec = importlib.util.spec_from_file_location("project", {noxfile!r})
project = importlib.util.module_from_spec(spec)
spec.loader.exec_module(project)
project.install = lambda session, lock: None


@nox.session(venv_backend="none")
def ours(session):
    name, *arguments = session.posargs
    getattr(project, name)(types.SimpleNamespace(bin={bin!r}, posargs=arguments))


@nox.session(venv_backend="none")
def planted(session):
    session.run({bin!r} + "/rehearsal", *session.posargs, external=True)
"""


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """Return a noxfile whose `rehearsal` ends with the code that is its last argument."""
    program = tmp_path / "rehearsal"
    program.write_text('#!/bin/sh\nfor last; do :; done\nexit "$last"\n', encoding="utf-8")
    program.chmod(0o755)
    file = tmp_path / "noxfile.py"
    file.write_text(SESSIONS.format(noxfile=str(NOXFILE), bin=str(tmp_path)), encoding="utf-8")
    return file


def _nox(file: Path, session: str, *arguments: str) -> int:
    argv = [sys.executable, "-m", "nox", "-f", str(file), "-s", session, "--", *arguments]
    return subprocess.run(argv, capture_output=True, check=False, timeout=100).returncode


@pytest.mark.parametrize("code", list(ExitCode))
def test_session_ends_with_the_code_of_the_program(sessions: Path, code: ExitCode) -> None:
    assert _nox(sessions, "ours", "doctor", str(int(code))) == code


@pytest.mark.parametrize("name", ["down", "supplies", "up"])
def test_so_does_each_session_of_a_command(sessions: Path, name: str) -> None:
    assert _nox(sessions, "ours", name, str(int(ExitCode.INVALID))) == ExitCode.INVALID


def test_nox_by_itself_would_lose_the_code(sessions: Path) -> None:
    assert _nox(sessions, "planted", str(int(ExitCode.INVALID))) == ExitCode.FAIL
