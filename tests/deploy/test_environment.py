"""The environment for Tilt, and `rehearsal env` as shells read it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from rehearsal.core import catalogue
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.deploy.environment import env_script, tilt_environment

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def known() -> Catalogue:
    return catalogue.load(_ROOT)


@pytest.fixture
def awkward(tmp_path: Path) -> Paths:
    """Folders with names that a shell would take apart."""
    return Paths(root=tmp_path / "a b$c", cache=tmp_path / "it's", state=tmp_path / 'say "hi"; exit 1')


def _evaluated(script: str, name: str, *, times: int = 1) -> str:
    doing = "\n".join(['eval "$SCRIPT"'] * times)
    answer = subprocess.run(
        ["/bin/sh", "-ceu", f'{doing}\nprintf %s "${name}"'],
        env={"SCRIPT": script, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout


@pytest.mark.parametrize(
    "name", ["KUBECONFIG", "TILT_PORT", "TILT_WEB_MODE", "DO_NOT_TRACK", "REHEARSAL_PYTHON"]
)
def test_the_shell_sees_what_a_program_gets(known: Catalogue, awkward: Paths, name: str) -> None:
    given = tilt_environment(awkward, known, tools=[], base={})
    assert _evaluated(env_script(awkward, known, tools=[]), name) == given[name]


def test_tools_come_first_in_their_order(known: Catalogue, awkward: Paths) -> None:
    tools = [awkward.cache / "tilt" / "bin", awkward.cache / "kubectl" / "bin"]
    expected = f"{tools[0]}:{tools[1]}:/usr/bin:/bin"
    assert _evaluated(env_script(awkward, known, tools=tools), "PATH") == expected
    assert tilt_environment(awkward, known, tools=tools, base={"PATH": "/usr/bin:/bin"})["PATH"] == expected


def test_evaluating_it_twice_changes_nothing_more(known: Catalogue, awkward: Paths) -> None:
    script = env_script(awkward, known, tools=[awkward.cache / "bin"])
    assert _evaluated(script, "PATH", times=2) == _evaluated(script, "PATH")


def test_the_rest_of_the_environment_stays(known: Catalogue, awkward: Paths) -> None:
    assert tilt_environment(awkward, known, tools=[], base={"LANG": "C"})["LANG"] == "C"


def test_the_kubeconfig_is_the_project_s_own(known: Catalogue, awkward: Paths) -> None:
    given = tilt_environment(awkward, known, tools=[], base={"KUBECONFIG": "/somebody/else"})
    assert given["KUBECONFIG"] == str(awkward.kubeconfig)


def test_an_engine_that_was_found_elsewhere_is_named(
    known: Catalogue, awkward: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert _evaluated(env_script(awkward, known, tools=[]), "DOCKER_HOST") == "unix:///run/other.sock"
