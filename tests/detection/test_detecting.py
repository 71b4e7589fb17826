"""Detectors: what is read of the project's commands, in the form in which they write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rehearsal.contract.fuzzing.judging import Run, evidence
from rehearsal.contract.fuzzing.reading import Failure
from rehearsal.contract.fuzzing.reading import Seen as Fuzzed
from rehearsal.contract.fuzzing.running import User
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import Completed
from rehearsal.core.verdicts import ExitCode
from rehearsal.detection.detecting import Deployment, Rehearsing, Weighing, fuzzed, seen_of
from rehearsal.detection.model import Named, Seen

ENDED = Completed(("nox",), 0, 1.0, "1 passed")
BROKEN = Completed(("nox",), 1, 1.0, "\nAssertionError: no link was followed\n\n")


def _shown(*failures: tuple[str, str]) -> dict[str, Any]:
    """Return a run of a fuzzer as the suites write it, with a failure of each operation and check."""
    found = tuple(Failure(operation, check, "", f"{check} here", "", None) for operation, check in failures)
    (shown,) = json.loads(evidence([Run(User("alice", "token"), 1, Fuzzed(failures=found))]))
    return dict(shown)


CLEAN = _shown()
FAILED = _shown(
    ("GET /things/{n}", "not_a_server_error"),
    ("GET /things/{n}", "use_after_free"),
    ("POST /things", "use_after_free"),
)


def test_fuzzer_names_each_operation_once() -> None:
    seen = fuzzed("thing-service", [CLEAN, FAILED, FAILED], BROKEN)

    assert seen.named == (
        Named("contract.fuzz", "thing-service GET /things/{n}"),
        Named("contract.fuzz", "thing-service POST /things"),
    )
    assert seen.said == "thing-service GET /things/{n}: not_a_server_error here"


def test_suite_that_passes_is_clean() -> None:
    assert fuzzed("thing-service", [CLEAN], ENDED) == Seen(ExitCode.PASS)


@pytest.mark.parametrize(("runs", "code"), [([CLEAN], ExitCode.FAIL), ([], ExitCode.ERROR)])
def test_suite_that_ends_otherwise_says_why_and_names_nothing(
    runs: list[dict[str, Any]], code: ExitCode
) -> None:
    assert fuzzed("thing-service", runs, BROKEN) == Seen(code, said="AssertionError: no link was followed")


def test_suite_that_fuzzed_nothing_has_not_looked() -> None:
    assert fuzzed("thing-service", [], ENDED).exit_code == ExitCode.ERROR


def test_checks_are_named_that_fail_and_those_that_could_not_look() -> None:
    checks = [
        {"id": "a.b", "subject": "x", "verdict": verdict, "sentence": f"{verdict} it is"}
        for verdict in ("PASS", "INVALID", "FAIL")
    ]
    seen = seen_of(1, checks)

    assert (seen.named, seen.blind) == ((Named("a.b", "x"),), (Named("a.b", "x"),))
    assert seen.said == "FAIL it is"


PROGRAM = """
import json, pathlib, sys
here = pathlib.Path.cwd()
with (here.parent / "asked").open("a") as file:
    print(here.name, *[word for word in sys.argv[1:] if "/" not in word], file=file)
if "--write" in sys.argv:
    pathlib.Path(sys.argv[sys.argv.index("--before") + 1]).touch()
verdict = (here / "verdict").read_text()
if sys.argv[1] == "weigh":
    check = {"id": "load.cpu", "subject": "GET /x", "verdict": verdict, "sentence": f"it is {verdict}"}
    more = [{**check, "subject": f"GET /{n}", "verdict": "PASS"} for n in range(100)]
    print(json.dumps({"verdict": verdict, "checks": [check, *more]}, indent=2))
    sys.exit({"PASS": 0, "FAIL": 1, "INVALID": 4, "PASS, after ERROR": 3}[verdict])
if sys.argv[1] == "e2e":
    raise SystemExit("it broke")
sys.exit(3 if verdict == "ERROR" else 0)
"""


def _checkout(folder: Path, name: str, verdict: str) -> Path:
    """Make a checkout whose own `rehearsal` notes what it was asked, and comes to a verdict."""
    package = folder / name / "harness" / "rehearsal"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PROGRAM, "utf-8")
    (folder / name / "verdict").write_text(verdict, "utf-8")
    return folder / name


def _weighing(folder: Path, *, origin: str = "PASS") -> Weighing:
    return Weighing(Deployment(_checkout(folder, "origin", origin), folder / "left"))


def _asked(folder: Path) -> list[str]:
    lines = (folder / "asked").read_text("utf-8").splitlines()
    (folder / "asked").write_text("", "utf-8")
    return lines


def test_a_run_that_broke_without_a_report_has_not_looked(tmp_path: Path) -> None:
    copy = _checkout(tmp_path, "copy", "PASS")
    seen = Rehearsing("load", Deployment(copy, tmp_path / "left")).look(copy)

    assert (seen.exit_code, seen.said) == (ExitCode.ERROR, "it broke")


def test_a_copy_is_weighed_against_the_checkout_as_it_is(tmp_path: Path) -> None:
    detector, copy = _weighing(tmp_path), _checkout(tmp_path, "copy", "FAIL")

    seen = detector.look(copy)

    assert seen.named == (Named("load.cpu", "GET /x"),)
    assert _asked(tmp_path) == [
        "origin up --ci",
        "origin weigh --json --before --write",
        "copy up --ci",
        "copy weigh --json --before",
    ]


def test_the_checkout_is_weighed_once_and_deployed_again_in_the_end(tmp_path: Path) -> None:
    detector, copy = _weighing(tmp_path), _checkout(tmp_path, "copy", "PASS")
    detector.look(copy)
    _asked(tmp_path)

    detector.look(copy)
    detector.put_back()
    detector.put_back()

    assert _asked(tmp_path) == ["copy up --ci", "copy weigh --json --before", "origin up --ci"]


def test_what_a_session_remembered_is_not_compared_with_by_the_next(tmp_path: Path) -> None:
    detector, copy = _weighing(tmp_path), _checkout(tmp_path, "copy", "PASS")
    detector.look(copy)
    detector.put_back()
    _asked(tmp_path)

    detector.look(copy)

    assert "origin weigh --json --before --write" in _asked(tmp_path)


def test_a_checkout_that_cannot_be_remembered_is_no_look(tmp_path: Path) -> None:
    detector, copy = _weighing(tmp_path, origin="PASS, after ERROR"), _checkout(tmp_path, "copy", "FAIL")

    assert detector.look(copy).exit_code == ExitCode.ENVIRONMENT


def test_a_copy_that_cannot_be_deployed_is_an_error_and_taken_away_in_the_end(tmp_path: Path) -> None:
    detector, copy = _weighing(tmp_path), _checkout(tmp_path, "copy", "ERROR")
    with pytest.raises(EnvironmentNotReadyError, match="nothing was said"):
        detector.look(copy)
    _asked(tmp_path)

    detector.put_back()

    assert _asked(tmp_path) == ["origin up --ci"]


def test_a_defect_that_stays_on_the_cluster_is_said(tmp_path: Path) -> None:
    deployment = Deployment(_checkout(tmp_path, "origin", "ERROR"), tmp_path / "left")
    deployment.mark()

    with pytest.raises(EnvironmentNotReadyError, match="still has a planted defect"):
        deployment.put_back()
    with pytest.raises(EnvironmentNotReadyError, match="still has a planted defect"):
        deployment.put_back()


def _marked(tmp_path: Path, *, then: str | None, now: str | None) -> tuple[Deployment, list[str]]:
    """Return what was left on the cluster `then`, with `now` there, and what it says."""
    said: list[str] = []
    there = [now, then]
    deployment = Deployment(_checkout(tmp_path, "origin", "ERROR"), tmp_path / "left", there.pop, said.append)
    deployment.mark()
    return deployment, said


@pytest.mark.parametrize(("then", "now"), [("first", ""), ("first", "second"), (None, ""), ("", "")])
def test_a_defect_on_a_cluster_that_is_gone_is_forgotten_with_a_notice(
    tmp_path: Path, then: str | None, now: str
) -> None:
    deployment, said = _marked(tmp_path, then=then, now=now)

    deployment.put_back()
    deployment.put_back()

    assert said == ["the cluster that had a planted defect on it is gone: there is nothing to put back"]
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(("then", "now"), [("first", "first"), ("first", None), (None, "second")])
def test_a_defect_whose_cluster_may_be_there_is_put_back(
    tmp_path: Path, then: str | None, now: str | None
) -> None:
    deployment, _ = _marked(tmp_path, then=then, now=now)

    with pytest.raises(EnvironmentNotReadyError, match="still has a planted defect"):
        deployment.put_back()
    assert _asked(tmp_path) == ["origin up --ci"]


def test_the_cluster_that_a_copy_made_is_the_one_that_has_it(tmp_path: Path) -> None:
    there = ["second", "second", "first"]
    deployment = Deployment(_checkout(tmp_path, "origin", "PASS"), tmp_path / "left", there.pop)
    Weighing(deployment).look(_checkout(tmp_path, "copy", "PASS"))
    _asked(tmp_path)

    deployment.put_back()

    assert _asked(tmp_path) == ["origin up --ci"]
