"""The command line: every end has its exit code, and every error says what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from rehearsal import __version__
from rehearsal.cli import main
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError, RehearsalError
from rehearsal.core.verdicts import ExitCode

CHECKOUT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "cluster",
    "detection",
    "diff",
    "doctor",
    "down",
    "e2e",
    "env",
    "explain",
    "inspect",
    "logs",
    "pipeline",
    "prepare",
    "render",
    "report",
    "seed",
    "shop",
    "soak",
    "status",
    "supply",
    "trace",
    "undo",
    "up",
    "weigh",
}

Plant = Callable[[Callable[[], object]], None]


@pytest.fixture
def plant() -> Iterator[Plant]:
    """Return what adds a command `planted` that does as it is told."""

    def add(work: Callable[[], object]) -> None:
        @click.command("planted")
        @click.option("--json", "as_json", is_flag=True)
        def planted(as_json: bool) -> object:
            return work()

        main.rehearsal.add_command(planted)

    yield add
    main.rehearsal.commands.pop("planted", None)


@pytest.fixture(autouse=True)
def _handler_of_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which the harness keeps everything, on a machine where it has never been."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.chdir(CHECKOUT)
    return tmp_path


def _raises(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


def _program(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "rehearsal", *arguments]
    return subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=100)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ConfigurationError, ExitCode.USAGE),
        (EnvironmentNotReadyError, ExitCode.ENVIRONMENT),
        (HarnessError, ExitCode.ERROR),
        (RehearsalError, ExitCode.ERROR),
    ],
)
def test_each_class_of_errors_ends_in_its_exit_code(
    plant: Plant, kind: type[RehearsalError], code: ExitCode
) -> None:
    plant(_raises(kind("CODE", "what happened", hint="what to do")))

    assert main.run(["planted"]) == code


@pytest.mark.parametrize("code", list(ExitCode))
def test_code_that_a_command_returns_is_the_exit_code(plant: Plant, code: ExitCode) -> None:
    plant(lambda: code)

    assert main.run(["planted"]) == code


def test_command_that_returns_nothing_passes(plant: Plant) -> None:
    plant(lambda: None)

    assert main.run(["planted"]) == ExitCode.PASS


def test_error_says_what_happened_and_what_to_do(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    plant(_raises(EnvironmentNotReadyError("NO_DISK", "the disk is full", hint="make room")))
    main.run(["planted"])

    said = capsys.readouterr()
    assert said.err == "\nerror: the disk is full\n  code: NO_DISK\n  next: make room\n"
    assert said.out == ""


def test_error_is_a_record_with_json(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    plant(_raises(EnvironmentNotReadyError("NO_DISK", "the disk is full", hint="make room")))
    code = main.run(["planted", "--json"])

    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "error": {"code": "NO_DISK", "message": "the disk is full", "hint": "make room"}
    }
    assert (said.err, code) == ("", ExitCode.ENVIRONMENT)


def test_broken_harness_is_no_failed_check(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    plant(_raises(ZeroDivisionError("a mistake")))
    code = main.run(["planted"])

    said = capsys.readouterr().err
    assert code == ExitCode.ERROR
    assert "Traceback" in said
    assert "code: UNEXPECTED" in said


def test_broken_harness_leaves_a_record_with_json(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    plant(_raises(ZeroDivisionError("a mistake")))
    main.run(["planted", "--json"])

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "UNEXPECTED"
    assert "ZeroDivisionError: a mistake" in error["message"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()], ids=["ctrl-c", "abort"])
def test_interrupt_ends_in_its_own_code(plant: Plant, error: BaseException) -> None:
    plant(_raises(error))

    assert main.run(["planted"]) == ExitCode.INTERRUPTED


def test_sigterm_is_an_interrupt_that_unwinds(plant: Plant) -> None:
    undone: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            undone.append("lock released")

    plant(work)

    assert main.run(["planted"]) == ExitCode.INTERRUPTED
    assert undone == ["lock released"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(["clusters"], "clusters", id="unknown-command"),
        pytest.param(["cluster", "upp"], "upp", id="unknown-command-of-a-group"),
        pytest.param(["doctor", "--jsn"], "--jsn", id="unknown-option"),
        pytest.param(["cluster", "up", "--timing", "slow"], "slow", id="unknown-choice"),
        pytest.param(["env", "superfluous"], "superfluous", id="superfluous-argument"),
    ],
)
def test_usage_error_names_what_is_wrong(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    code = main.run(arguments)

    assert code == ExitCode.USAGE
    assert named in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_no_command_is_a_usage_error_that_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == ExitCode.USAGE
    assert "doctor" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code = main.run(["--help"])

    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert code == ExitCode.PASS
    assert {line.split()[0] for line in listed.splitlines() if line.strip()} == COMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([name, "--help"]) == ExitCode.PASS
    assert f"rehearsal {name}" in capsys.readouterr().out


def test_program_knows_its_version() -> None:
    done = _program("--version")

    assert (done.returncode, done.stdout) == (0, f"rehearsal, version {__version__}\n")


def test_reader_that_has_gone_is_no_failed_check() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = _program("--help", stdout=writer)
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "")


# Writes by a console, and ends well.
_SAYING = """
from rehearsal.cli.console import PlainConsole
from rehearsal.core.events import StepStarted
for name in ("registry", "nodes"):
    PlainConsole()(StepStarted(name))
"""


def test_program_that_nobody_listens_to_keeps_its_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([sys.executable, "-c", _SAYING], stderr=writer, check=False, timeout=60)
    finally:
        os.close(writer)

    assert done.returncode == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EnvironmentNotReadyError("GONE", "it is gone", hint="bring it back"), ExitCode.ENVIRONMENT),
        (ZeroDivisionError("a mistake"), ExitCode.ERROR),
    ],
)
def test_error_that_nobody_reads_keeps_its_exit_code(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, error: Exception, code: ExitCode
) -> None:
    def broken() -> None:
        raise error

    def gone(text: str) -> int:
        raise BrokenPipeError

    plant(broken)
    monkeypatch.setattr("sys.stderr.write", gone)

    assert main.run(["planted"]) == code


def test_unknown_profile_is_told_the_profiles_before_anything_is_touched(home: Path) -> None:
    done = _program("cluster", "up", "--profile", "nope")

    assert done.returncode == ExitCode.USAGE
    assert "there is no profile 'nope'" in done.stderr
    assert "light, standard, full" in done.stderr
    # The journal of the command, and nothing else.
    assert {one.suffix for one in home.rglob("*") if one.is_file()} <= {".ndjson"}


def test_folder_outside_of_a_checkout_is_a_configuration_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    code = main.run(["env"])

    assert code == ExitCode.USAGE
    assert "code: CATALOGUE_MISSING" in capsys.readouterr().err


def test_broken_catalogue_is_a_configuration_error_with_json(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "rehearsal.toml").write_text("[cluster\n", encoding="utf-8")
    monkeypatch.chdir(home)
    code = main.run(["supply", "list", "--json"])

    assert code == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "CATALOGUE_SYNTAX"


# Says, before it is done, that something is imported that takes long.
_TELLING_IMPORTS = """
import sys

class Tell:
    def find_spec(self, name, path=None, target=None):
        if name in ("docker", "kubernetes", "pydantic", "rich"):
            print("import", name, file=sys.stderr, flush=True)

sys.meta_path.insert(0, Tell())
from rehearsal.cli.main import main
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["cluster", "down"],
        ["cluster", "repair"],
        ["cluster", "status"],
        ["cluster", "up"],
        ["doctor"],
        ["down"],
        ["e2e"],
        ["supply", "list"],
        ["up", "--ci"],
    ],
    ids=" ".join,
)
def test_first_line_does_not_wait_for_what_takes_long_to_import(home: Path, arguments: list[str]) -> None:
    # A folder without a catalogue that can be read: the command ends where its work would begin.
    (home / "rehearsal.toml").write_text("[cluster\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _TELLING_IMPORTS, *arguments],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "CI": "true", "PYTHONUNBUFFERED": "1"},
    )

    lines = done.stdout.splitlines()
    assert not lines[0].startswith("import")
    assert "import pydantic" in lines
