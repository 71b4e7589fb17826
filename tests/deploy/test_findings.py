"""Each finding about the guide says what it has, what goes wrong, how to show it, and what is here."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rehearsal.cli.main import rehearsal

from tests.deploy.base import ROOT

_PAGE = (ROOT / "docs" / "production-findings.md").read_text()
_PARTS = ["Guide", "Goes wrong", "Show", "Here"]
_WORLDS = yaml.safe_load((ROOT / "tests" / "monitoring" / "worlds.yml").read_text())
# Run as they stand: they read files of the repository and nothing else.
_LOCAL = ("! grep", "grep", "echo", "diff", "sh")
# Ask a cluster, an engine or a program that the tests' environment has not.
_ELSEWHERE = ("kubectl", "curl", "docker", "zizmor")
# Folders of the guide's repository, not of this one.
_THE_GUIDE_S_OWN = {"k8s/secrets", "k8s/secrets/"}
_PROGRAMS = (*_LOCAL, *_ELSEWHERE, "pytest", "nox", "rehearsal")


def _findings(page: str) -> dict[str, dict[str, str]]:
    """Return the parts of each finding by its name."""
    found = {}
    for section in re.split(r"^### ", page, flags=re.M)[1:]:
        heading, _, body = section.partition("\n")
        name = re.search(r"\[([a-z0-9-]+)\]$", heading)
        assert name is not None, heading
        body = re.split(r"^## ", body, maxsplit=1, flags=re.M)[0]
        parts = re.findall(r"^- ([A-Z][a-z ]+): (.*?)(?=^- |\Z)", body, re.M | re.S)
        found[name[1]] = {part: " ".join(text.split()) for part, text in parts}
    return found


FINDINGS = _findings(_PAGE)


def _commands(show: str) -> Iterator[str]:
    """Yield the commands of a text: code that begins with a program and goes on."""
    for code in re.findall(r"`([^`]+)`", show):
        if any(code.startswith(f"{program} ") for program in _PROGRAMS):
            yield code


COMMANDS = sorted({one for parts in FINDINGS.values() for one in _commands(parts.get("Show", ""))})


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_has_all_of_its_parts(name: str) -> None:
    assert [part for part, text in FINDINGS[name].items() if text] == _PARTS


def test_a_part_that_is_left_out_or_empty_would_be_seen() -> None:
    planted = "### A [a]\n- Guide: x\n- Show:\n- Here: y\n\n## More\n\n- Goes wrong: z\n"
    assert [part for part, text in _findings(planted)["a"].items() if text] == ["Guide", "Here"]


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_can_be_shown_by_a_command(name: str) -> None:
    assert list(_commands(FINDINGS[name]["Show"]))


def _of(*programs: str) -> list[str]:
    return [one for one in COMMANDS if one.startswith(tuple(f"{program} " for program in programs))]


@pytest.mark.parametrize("command", _of(*_LOCAL))
def test_what_asks_the_repository_alone_shows_it(command: str) -> None:
    argv = [str(shutil.which("bash")), "-c", command]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
    # `diff` ends with 1 where there is a difference, which is what it is there to show.
    wanted = 1 if command.startswith("diff ") else 0
    assert (ended.returncode, ended.stderr) == (wanted, "")
    assert command.startswith("! ") or ended.stdout


@pytest.mark.parametrize("command", _of("pytest"))
def test_a_test_that_is_named_is_there(command: str) -> None:
    found = re.fullmatch(r"pytest (\S+?\.py)(?:::(\w+)| -k (?:\"([^\"]+)\"|(\w+)))?", command)
    assert found is not None
    text = (ROOT / found[1]).read_text()
    if found[2]:
        assert re.search(rf"^(async )?def {found[2]}\(", text, re.M)
    for word in re.findall(r"\w+", (found[3] or found[4] or "").replace(" or ", " ")):
        assert any(word in world["name"] for world in _WORLDS), word


@pytest.mark.parametrize("command", _of("nox"))
def test_a_session_that_is_named_is_there(command: str) -> None:
    name = command.split()[2]
    assert re.search(rf"^def {name}\(session", (ROOT / "noxfile.py").read_text(), re.M)


def test_a_command_of_rehearsal_that_is_named_is_there() -> None:
    show = " ".join(parts["Show"] for parts in FINDINGS.values())
    named = set(re.findall(r"`rehearsal (\w+)", show))
    assert named
    assert named <= set(rehearsal.commands)


def test_a_file_that_is_named_is_there() -> None:
    tops = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
    named = set(re.findall(rf"(?<![\w/.])((?:{tops})/[\w./-]+)", _PAGE))
    assert named
    named -= _THE_GUIDE_S_OWN
    assert [one for one in sorted(named) if not Path(ROOT, one.rstrip(".")).exists()] == []
