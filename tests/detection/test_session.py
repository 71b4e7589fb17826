"""Sessions: what is looked for, what voids, and going on where one was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.verdicts import ExitCode
from rehearsal.detection import trials
from rehearsal.detection.copying import revision
from rehearsal.detection.model import Cause, Family, Named, Planted, PlantError, Seen
from rehearsal.detection.scoring import Outcome
from rehearsal.detection.session import Session

from tests.detection.conftest import CLEAN, FakeDetector, finds_what_is_broken

ROOT = Path(__file__).resolve().parents[2]
CAUSE = Cause(frozenset({"some.check"}), ("file",))


def _break(root: Path, random: Random) -> Planted:
    number = random.randrange(1000)
    (root / "file.txt").write_text(f"broken {number}\n", encoding="utf-8")
    return Planted(f"file {number}", CAUSE)


def _family(name: str) -> Family:
    return Family(name, "files", "one line", "reader", _break)


ONE, TWO = _family("one"), _family("two")


def _session(origin: Path, detector: FakeDetector, seed: str = "7") -> Session:
    commit, tree = revision(origin)
    return Session(origin, commit, tree, seed, {"reader": detector}, origin / trials.LOG)


def _outcomes(done: list[trials.Trial]) -> Mapping[str, Outcome]:
    return {one.family: one.outcome for one in done}


def test_each_defect_is_found_in_a_copy_after_a_look_at_it_unbroken(origin: Path) -> None:
    detector = FakeDetector(finds_what_is_broken)
    done = _session(origin, detector).run([ONE, TWO])

    assert _outcomes(done) == {"control": Outcome.CLEAN, "one": Outcome.FOUND, "two": Outcome.FOUND}
    assert detector.looked[0] == "sound\n"
    assert all(text.startswith("broken") for text in detector.looked[1:])
    assert (origin / "file.txt").read_text(encoding="utf-8") == "sound\n"


def test_what_nobody_names_is_missed(origin: Path) -> None:
    done = _session(origin, FakeDetector(lambda text: CLEAN)).run([ONE])

    assert _outcomes(done)["one"] is Outcome.MISSED


def test_control_that_finds_something_voids_what_its_detector_finds(origin: Path) -> None:
    seen = Seen(ExitCode.FAIL, (Named("some.check", "file"),), said="always")
    detector = FakeDetector(lambda text: seen)
    done = _session(origin, detector).run([ONE, TWO])

    assert _outcomes(done) == {"control": Outcome.VOID, "one": Outcome.VOID, "two": Outcome.VOID}
    assert len(detector.looked) == 1


def test_detector_that_cannot_look_is_said_and_tried_again(origin: Path) -> None:
    def no_cluster(text: str) -> Seen:
        raise EnvironmentNotReadyError("NO_CLUSTER", "there is no cluster", hint="Make one.")

    done = _session(origin, FakeDetector(no_cluster)).run([ONE])
    assert _outcomes(done)["one"] is Outcome.NOT_LOOKED
    assert "no cluster" in done[-1].said

    again = _session(origin, FakeDetector(finds_what_is_broken)).run([ONE])
    assert _outcomes(again)["one"] is Outcome.FOUND


def test_what_is_in_the_log_is_not_done_again(origin: Path) -> None:
    first = _session(origin, FakeDetector(finds_what_is_broken)).run([ONE])
    detector = FakeDetector(finds_what_is_broken)
    second = _session(origin, detector).run([ONE, TWO])

    assert detector.looked == [text for text in detector.looked if text.startswith("broken")]
    assert len(detector.looked) == 1
    assert second[:2] == first


def test_another_seed_begins_anew_and_draws_other_places(origin: Path) -> None:
    first = _session(origin, FakeDetector(finds_what_is_broken), "7").run([ONE])
    again = _session(origin, FakeDetector(finds_what_is_broken), "8").run([ONE])

    assert first[-1].site != again[-1].site
    assert ONE.draw("7").random() == _family("one").draw("7").random() != TWO.draw("7").random()


def test_defect_that_cannot_be_planted_ends_the_session_by_its_name(origin: Path) -> None:
    def stale(root: Path, random: Random) -> Planted:
        raise PlantError("stale", "there is nothing like it")

    family = Family("stale", "files", "one line", "reader", stale)
    with pytest.raises(PlantError, match="stale cannot be planted"):
        _session(origin, FakeDetector(finds_what_is_broken)).run([family])


def test_detector_puts_back_what_it_changed_also_when_the_session_breaks(origin: Path) -> None:
    detector = FakeDetector(finds_what_is_broken)

    def stale(root: Path, random: Random) -> Planted:
        raise PlantError("stale", "there is nothing like it")

    with pytest.raises(PlantError):
        _session(origin, detector).run([Family("stale", "files", "one line", "reader", stale)])
    assert detector.put_backs == 2  # what a killed session may have left, then its own


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.detection.conftest import FakeDetector, finds_what_is_broken
from tests.detection.test_session import ONE, TWO, _session

def dies_at_the_second(text):
    if len(detector.looked) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return finds_what_is_broken(text)

detector = FakeDetector(dies_at_the_second)
_session(Path(sys.argv[1]), detector).run([ONE, TWO])
"""


def test_killed_session_loses_nothing_and_goes_on(origin: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'harness'}"}
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(origin)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [one.family for one in trials.read(origin / trials.LOG)] == ["control", "one"]

    detector = FakeDetector(finds_what_is_broken)
    done = _session(origin, detector).run([ONE, TWO])
    assert _outcomes(done)["two"] is Outcome.FOUND
    assert len(detector.looked) == 1
