"""Known vulnerabilities of locked packages: nothing known is not the same as nothing found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.verdicts import Verdict
from rehearsal.supply.advisories import Audited, audit, parse_audit, render

CLEAN = {"name": "anyio", "version": "4.0", "vulns": []}
VULNERABLE = {
    "name": "Jinja2",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1"], "description": "Escapes the sandbox."}],
}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of two packages."""
    file = tmp_path / "main.txt"
    file.write_text(
        "anyio==4.0 \\\n    --hash=sha256:0\njinja2==2.0 \\\n    --hash=sha256:1\n", encoding="utf-8"
    )
    return file


def _parsed(lock: Path, *packages: object) -> Audited:
    return parse_audit(json.dumps({"dependencies": packages}), lock, lock.parent)


def test_nothing_found_passes(lock: Path) -> None:
    assert _parsed(lock, CLEAN).verdict is Verdict.PASS


def test_an_advisory_fails_and_names_its_line(lock: Path) -> None:
    found = _parsed(lock, CLEAN, VULNERABLE)
    (one,) = found.advisories
    assert (found.verdict, one.id, one.lock, one.line) == (Verdict.FAIL, "PYSEC-1", "main.txt", 3)
    assert one.text == "Jinja2 2.0: PYSEC-1, fixed in 3.1. Escapes the sandbox."


def test_a_package_that_the_source_does_not_know_was_not_looked_at(lock: Path) -> None:
    assert _parsed(lock, CLEAN, UNKNOWN).verdict is Verdict.INVALID


def test_an_advisory_outweighs_what_is_unknown(lock: Path) -> None:
    assert _parsed(lock, VULNERABLE, UNKNOWN).verdict is Verdict.FAIL


@pytest.mark.parametrize("text", ["", "{}", '{"dependencies": []}'])
def test_no_usable_answer_is_no_pass(lock: Path, text: str) -> None:
    with pytest.raises(EnvironmentNotReadyError):
        parse_audit(text, lock, lock.parent)


def test_sarif_has_a_place_and_a_lasting_name_for_each(lock: Path) -> None:
    (run,) = json.loads(render(_parsed(lock, VULNERABLE)))["runs"]
    (result,) = run["results"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [result["ruleId"]] == ["PYSEC-1"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}
    assert result["partialFingerprints"] == {"advisory/v1": "PYSEC-1:Jinja2:main.txt"}


def test_sarif_says_when_it_could_not_look(lock: Path) -> None:
    (run,) = json.loads(render(_parsed(lock, UNKNOWN)))["runs"]
    assert run["invocations"] == [{"executionSuccessful": False}]


def _program(folder: Path, body: str) -> Path:
    file = folder / "pip-audit"
    file.write_text(f"#!{sys.executable}\nimport sys\n{body}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_every_lock_file_is_asked_about(lock: Path, tmp_path: Path) -> None:
    other = tmp_path / "lint.txt"
    other.write_text("ruff==1\n", encoding="utf-8")
    answer = json.dumps({"dependencies": [VULNERABLE]})
    place = "next(word for word in sys.argv if word.startswith('--output='))[9:]"
    write = f"open({place}, 'w').write({answer!r})"
    # It ends with 1 when there are advisories.
    found = audit(tmp_path, [lock, other], _program(tmp_path, f"{write}\nsys.exit(1)"))
    assert ([one.lock for one in found.advisories], found.packages) == (["main.txt", "lint.txt"], 2)


def test_without_an_answer_its_own_words_are_shown(lock: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="no network"):
        audit(tmp_path, [lock], _program(tmp_path, "sys.exit('no network')"))
