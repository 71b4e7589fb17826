"""Images that are used where they can be pulled, and left out elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.events import Outcome, StepFinished
from rehearsal.supply import grafana
from rehearsal.supply.image_engine import PullFailedError
from rehearsal.supply.images import LEFT_OUT, FunctionImage
from rehearsal.supply.optional import FILE_NAME, Answers
from rehearsal.supply.supplies import Supplies, render_statuses

from tests.supply.fakes import FakeImages, Recorder, image_recipe, make_supplies


def _recipe(log: list[str], content: str = "grafana", refusal: str = "") -> FunctionImage:
    """Return a recipe that only pulls; a refusal is what its registry says."""
    made = image_recipe("grafana", content, log=log)

    def make(context: object) -> str:
        if refusal:
            log.append("refused")
            raise PullFailedError("grafana", refusal)
        return made.make(context)  # type: ignore[arg-type]  # what the supplies give

    return FunctionImage("grafana", "13", made.read_inputs, make, disk_bytes=0, sources=("pulled", LEFT_OUT))


def _supplies(
    folder: Path, recipe: FunctionImage, engine: FakeImages, emit: Recorder | None = None
) -> Supplies:
    return make_supplies(folder, images=(recipe,), engine=engine, emit=emit or Recorder())


def test_where_it_can_be_pulled_it_is_there(tmp_path: Path) -> None:
    supplies = _supplies(tmp_path, _recipe([]), FakeImages())
    found = supplies.image_if_to_be_had("grafana")
    assert found is not None
    assert supplies.has_optional("grafana")


def test_before_anybody_asked_it_is_said_what_would_be_done(tmp_path: Path) -> None:
    (status,) = _supplies(tmp_path, _recipe([]), FakeImages()).statuses()
    assert (status.source, status.refusal) == ("pulled, else left out", "")


def test_nobody_is_asked_to_say_whether_it_is_there(tmp_path: Path) -> None:
    log: list[str] = []
    supplies = make_supplies(tmp_path, images=(_recipe(log),))
    assert (supplies.has_optional("grafana"), log) == (False, [])


def test_where_it_cannot_be_pulled_it_is_left_out_and_said(tmp_path: Path) -> None:
    recorder = Recorder()
    supplies = _supplies(tmp_path, _recipe([], refusal="no route"), FakeImages(), recorder)
    assert supplies.image_if_to_be_had("grafana") is None
    assert not supplies.has_optional("grafana")
    assert [one.outcome for one in recorder.events if isinstance(one, StepFinished)] == [Outcome.LEFT_OUT]
    (said,) = recorder.notices
    assert "no route; `rehearsal supply build grafana` asks again" in said


def test_a_registry_that_refused_is_not_asked_again(tmp_path: Path) -> None:
    log, engine = list[str](), FakeImages()
    for _ in range(3):
        _supplies(tmp_path, _recipe(log, refusal="no route"), engine).image_if_to_be_had("grafana")
    assert log == ["refused"]


def test_another_reference_is_asked_for_anew(tmp_path: Path) -> None:
    log, engine = list[str](), FakeImages()
    _supplies(tmp_path, _recipe(log, "old", "no route"), engine).image_if_to_be_had("grafana")
    assert _supplies(tmp_path, _recipe(log, "new"), engine).image_if_to_be_had("grafana") is not None


def test_who_asks_by_name_gets_the_error_and_a_new_try(tmp_path: Path) -> None:
    log, engine = list[str](), FakeImages()
    for _ in range(2):
        with pytest.raises(PullFailedError, match="no route"):
            _supplies(tmp_path, _recipe(log, refusal="no route"), engine).build(["grafana"])
    assert log == ["refused", "refused"]
    _supplies(tmp_path, _recipe(log), engine).build(["grafana"])
    assert _supplies(tmp_path, _recipe(log), engine).has_optional("grafana")


def test_everything_is_built_without_it(tmp_path: Path) -> None:
    supplies = _supplies(tmp_path, _recipe([], refusal="no route"), FakeImages())
    (status,) = supplies.build()
    assert (status.ready, status.refusal) == (False, "no route")
    assert "left out" in render_statuses([status])


def test_one_that_was_lost_and_cannot_be_pulled_anew_is_left_out(tmp_path: Path) -> None:
    _supplies(tmp_path, _recipe([]), FakeImages()).image_if_to_be_had("grafana")
    lost = _supplies(tmp_path, _recipe([], refusal="no route"), FakeImages())
    assert lost.image_if_to_be_had("grafana") is None
    assert not lost.has_optional("grafana")


def test_a_damaged_file_of_answers_is_no_answer(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.keep("grafana", "key", "no route")
    (tmp_path / FILE_NAME).write_text("{")
    assert answers.refusal("grafana", "key") is None


def test_without_a_reference_no_registry_is_asked(tmp_path: Path) -> None:
    recorder = Recorder()
    supplies = _supplies(tmp_path, grafana.recipe(""), FakeImages(), recorder)
    assert supplies.image_if_to_be_had("grafana") is None
    assert "images.grafana in rehearsal.toml is empty" in recorder.notices[0]


def test_the_real_recipe_asks_for_its_reference(tmp_path: Path) -> None:
    supplies = _supplies(tmp_path, grafana.recipe("127.0.0.1:1/grafana:13.2.3"), FakeImages())
    with pytest.raises(PullFailedError, match=r"127\.0\.0\.1:1/grafana:13\.2\.3"):
        supplies.image("grafana")
