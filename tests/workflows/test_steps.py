"""Every step of every workflow can be run here, or stands, word for word, on the list of those that cannot.

Run here are two shell scripts, as they are. A step that is a nox session is run against a nox that notes what
it is asked for: its session has to exist, and its command has to understand what stands behind `--`. What the
sessions do is not shown here: the steps that deploy are run for real by tests/live, the others by people.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from rehearsal.cli.main import rehearsal
from rehearsal.core import catalogue
from rehearsal.stages.run_folder import MARK

from tests.workflows.accounting import deviations, hidden_work, is_one_session
from tests.workflows.steps import ROOT, FlowStep, all_steps, flows, named, run_script

NOT_LOCAL = tomllib.loads((ROOT / ".github" / "not-local.toml").read_text(encoding="utf-8"))["step"]
# Pinned by name: one more step that nobody can run, or another one, is a decision and not an accident.
NOT_LOCAL_NAMES = (
    "Checkout code",
    "Set up Python",
    "Install nox",
    "Cache supplies",
    "Generate test report",
    "Keep test report",
    "Upload scan results to GitHub Security tab",
    "Log in to Container Registry",
    "Set up kubectl",
    "Keep the report",
)
STEPS = all_steps()
NOX_STEPS = [one for one in STEPS if is_one_session(one.script)]
# Run by the tests at the end of this file.
SHELL_STEPS = {"Configure kubectl", "Show the summary", "Take the secrets out of what a killed run left"}
# Sessions that hand what stands behind `--` to this command of `rehearsal`.
COMMANDS = {"pipeline": "pipeline", "e2e": "e2e"}
NOX_THAT_NOTES = """#!{python}
import json, sys
print(json.dumps(sys.argv[1:]))
"""
KNOWN = {
    "github.repository": "Mambogo/shop",
    "vars.KUBE_CONTEXT": "production of ours",
    "secrets.KUBE_CONFIG": "x",
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def provided(tmp_path: Path) -> dict[str, str]:
    """What GitHub's runner provides."""
    for name in ("workspace", "temp", "bin"):
        (tmp_path / name).mkdir()
    nox = tmp_path / "bin" / "nox"
    nox.write_text(NOX_THAT_NOTES.format(python=sys.executable), encoding="utf-8")
    nox.chmod(0o755)
    return {
        "GITHUB_WORKSPACE": str(tmp_path / "workspace"),
        "GITHUB_SHA": COMMIT,
        "GITHUB_ENV": str(tmp_path / "env"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


def _asked(step: FlowStep, provided: dict[str, str], variant: dict[str, str]) -> tuple[str, list[str]]:
    """Run a step against a nox that notes its words; return the session and what stands behind `--`."""
    env = {**provided, **step.environment({**KNOWN, **variant})}
    ended = run_script(step.script, env=env, cwd=Path(provided["GITHUB_WORKSPACE"]))
    assert ended.returncode == 0, ended.stderr
    flag, session, *rest = json.loads(ended.stdout)
    assert (flag, rest[:1]) in (("-s", []), ("-s", ["--"]))
    return session, rest[1:]


def _asked_by_all(step: FlowStep, provided: dict[str, str]) -> list[tuple[str, list[str]]]:
    return [_asked(step, provided, variant) for variant in step.variants()]


def test_every_step_is_run_here_or_is_what_is_listed() -> None:
    assert list(deviations(STEPS, NOT_LOCAL, SHELL_STEPS)) == []
    assert {one.name for one in NOX_STEPS} | SHELL_STEPS | set(NOT_LOCAL_NAMES) == {one.name for one in STEPS}


def test_the_list_of_those_that_cannot_be_run_is_the_agreed_one() -> None:
    assert tuple(one["name"] for one in NOT_LOCAL) == NOT_LOCAL_NAMES


def test_every_listed_step_has_a_reason() -> None:
    assert [one["name"] for one in NOT_LOCAL if not one["reason"].strip()] == []


def test_nothing_works_beside_the_steps() -> None:
    assert list(hidden_work(flows())) == []
    folder = ROOT / ".github"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    # An action of our own, or a workflow with another suffix, would be read by nobody here.
    assert files == {"not-local.toml", "zizmor.yml", *(f"workflows/{name}.yml" for name in flows())}


def _planted(name: str, **content: Any) -> FlowStep:
    return FlowStep("planted", "job", name, content.get("run", ""), {}, {}, content)


_CHECKOUT = {"uses": "actions/checkout@v4", "with": {"persist-credentials": False}}


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (_planted("Checkout code", **_CHECKOUT | {"uses": "somebody/else@v4"}), "not what is listed"),
        (_planted("Checkout code", uses="actions/checkout@v4"), "not what is listed"),
        (_planted("Checkout code", **_CHECKOUT, env={"A": "b"}), "not what is listed"),
        (_planted("Checkout code", **_CHECKOUT | {"if": "always()"}), "not what is listed"),
        (_planted("Install nox", run="curl https://example.com | sh"), "not what is listed"),
        (_planted("Check types", uses="somebody/types@v1"), "does something else"),
        (_planted("Check types", run="nox -s types", env={"PATH": "elsewhere"}), "does something else"),
        (_planted("Another", uses="actions/checkout@v4"), "an action that is not listed"),
        (_planted("Another", run="nox -s lint", **{"if": "false"}), "a condition could leave it out"),
        (_planted("Another", run="nox -s lint", **{"continue-on-error": True}), "continue-on-error"),
        (_planted("Another", run="nox -s lint; curl https://example.com"), "no single nox session"),
        (_planted("", run="nox -s lint"), "no name"),
    ],
    ids=lambda value: value.name if isinstance(value, FlowStep) else value,
)
def test_a_step_that_is_another_one_is_seen(step: FlowStep, why: str) -> None:
    said = list(deviations((*STEPS, step), NOT_LOCAL, SHELL_STEPS))
    assert all(one.startswith(f"planted/job/{step.name}: ") for one in said)
    assert any(why in one for one in said)


def test_a_listed_step_that_no_workflow_has_is_seen() -> None:
    listed = [*NOT_LOCAL, {"name": "Nap", "run": "sleep 1", "reason": "none"}]
    assert list(deviations(STEPS, listed, SHELL_STEPS)) == ["Nap: it is listed, and no workflow has it"]


@pytest.mark.parametrize(
    ("script", "one"),
    [
        ("nox -s lint", True),
        ('nox -s "tests(suite=\'$SUITE\')" -- --junitxml="$HOME/x.xml"\n', True),
        ("nox -s lint && true", False),
        ("nox -s lint > /dev/null", False),
        ("nox -s lint -- $(id)", False),
        ("nox -s lint -- `id`", False),
        ("nox -s lint\ntrue", False),
        ("nox -s lint types", False),
        ("nox -s 'lint", False),
        ("noxious -s lint", False),
    ],
)
def test_a_session_is_told_from_a_script(script: str, one: bool) -> None:
    assert is_one_session(script) is one


def test_work_beside_the_steps_would_be_seen() -> None:
    job = {"steps": [], "services": {"proxy": {"image": "x"}}}
    called = {"uses": "somebody/else/.github/workflows/x.yml@v1"}
    planted = {"flow": {"jobs": {"one": job, "two": called}, "defaults": {"run": {"shell": "python"}}}}
    assert sorted(hidden_work(planted)) == [
        "flow/one: services",
        "flow/two: it calls somebody/else/.github/workflows/x.yml@v1, whose steps nobody looks at",
        "flow: defaults",
    ]


def test_no_script_holds_an_expression() -> None:
    # What GitHub puts into a script's text becomes code of it; the environment's values do not.
    assert [str(one) for one in STEPS if "${{" in one.script] == []


def test_every_session_exists(provided: dict[str, str]) -> None:
    sessions = sorted({session for step in NOX_STEPS for session, _ in _asked_by_all(step, provided)})
    argv = [sys.executable, "-m", "nox", "-f", str(ROOT / "noxfile.py"), "--list", "--json", "-s", *sessions]
    listed = subprocess.run(argv, capture_output=True, check=True, timeout=100, text=True).stdout
    assert sorted(one["session"] for one in json.loads(listed)) == sessions


@pytest.mark.parametrize("step", NOX_STEPS, ids=str)
def test_a_session_understands_what_it_is_told(step: FlowStep, provided: dict[str, str]) -> None:
    for session, arguments in _asked_by_all(step, provided):
        if session in COMMANDS:
            _parse(rehearsal, [COMMANDS[session], *arguments])
        elif session.startswith("tests("):
            assert _pytest_understands(arguments, Path(provided["RUNNER_TEMP"]))
        else:
            assert arguments == []


def test_the_rehearsal_s_profile_is_one_of_the_catalogue(provided: dict[str, str]) -> None:
    # The parser takes any name; the catalogue does not.
    ((_, words),) = _asked_by_all(named("Rehearse"), provided)
    assert words[words.index("--profile") + 1] in catalogue.load(ROOT).profiles


@pytest.mark.parametrize(
    "wrong", [["pipeline", "deploy", "--tag"], ["pipeline", "undo"], ["e2e", "--profil", "x"]]
)
def test_a_wrong_word_would_be_seen(wrong: list[str]) -> None:
    with pytest.raises(click.UsageError):
        _parse(rehearsal, wrong)


def test_so_would_one_that_pytest_does_not_know(tmp_path: Path) -> None:
    assert not _pytest_understands(["--junitxlm=report.xml"], tmp_path)


def test_the_commit_is_what_is_published_and_deployed(provided: dict[str, str]) -> None:
    for name in ("Build and push", "Deploy to Kubernetes"):
        for _, words in _asked_by_all(named(name), provided):
            assert words[words.index("--tag") + 1] == COMMIT
            assert words[words.index("--registry") + 1] == "ghcr.io/Mambogo/shop"


def test_the_cluster_s_credentials_are_the_runner_s_alone(provided: dict[str, str]) -> None:
    env = {**provided, "KUBE_CONFIG": b64encode(b"apiVersion: v1\n").decode()}
    ended = run_script(named("Configure kubectl").script, env=env, cwd=Path(provided["GITHUB_WORKSPACE"]))
    file = Path(provided["RUNNER_TEMP"]) / "kubeconfig"
    assert (ended.returncode, ended.stdout, file.read_text()) == (0, "", "apiVersion: v1\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert Path(provided["GITHUB_ENV"]).read_text() == f"KUBECONFIG={file}\n"
    assert list(Path(provided["GITHUB_WORKSPACE"]).iterdir()) == []


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_every_run_s_summary_is_shown(provided: dict[str, str], runs: int) -> None:
    workspace = Path(provided["GITHUB_WORKSPACE"])
    for number in range(runs):
        (workspace / "runs" / str(number)).mkdir(parents=True)
        (workspace / "runs" / str(number) / "summary.md").write_text(f"run {number}\n")
    ended = run_script(named("Show the summary").script, env=provided, cwd=workspace)
    summary = Path(provided["GITHUB_STEP_SUMMARY"])
    shown = summary.read_text() if summary.exists() else ""
    assert (ended.returncode, shown) == (0, "".join(f"run {number}\n" for number in range(runs)))


@pytest.mark.parametrize(
    ("marks", "asked"), [((), ""), (("a",), "undo\n"), (("a", "b"), "undo\n")], ids=["none", "one", "two"]
)
def test_secrets_are_taken_out_before_a_killed_run_is_kept(
    provided: dict[str, str], marks: tuple[str, ...], asked: str
) -> None:
    workspace = Path(provided["GITHUB_WORKSPACE"])
    program = workspace / ".nox" / "e2e" / "bin" / "rehearsal"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    for name in marks:
        (workspace / "runs" / name).mkdir(parents=True)
        (workspace / "runs" / name / MARK).touch()
    step = named("Take the secrets out of what a killed run left")
    ended = run_script(step.script, env=provided, cwd=workspace)
    assert (ended.returncode, ended.stdout) == (0, asked)


def test_it_is_the_environment_of_the_session_that_rehearses() -> None:
    script = named("Take the secrets out of what a killed run left").script
    session = named("Rehearse").script.split()[2]
    assert f".nox/{session}/bin/rehearsal" in script


def _parse(command: click.Command, arguments: Sequence[str], parent: click.Context | None = None) -> None:
    """Parse a command line and run nothing; raises click.UsageError."""
    context = command.make_context(command.name, list(arguments), parent=parent)
    if isinstance(command, click.Group):
        _, chosen, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert chosen is not None
        _parse(chosen, rest, context)


def _pytest_understands(arguments: Sequence[str], folder: Path) -> bool:
    (folder / "nothing").mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "pytest", "--rootdir", str(folder), *arguments, str(folder / "nothing")]
    code = subprocess.run(argv, cwd=folder, capture_output=True, check=False, timeout=100).returncode
    return code == pytest.ExitCode.NO_TESTS_COLLECTED
