"""Which stages run: what was asked for, what is taken as given, and a reason for each that is not run."""

from __future__ import annotations

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.verdicts import Ending
from rehearsal.stages.planning import Request, plan, unmet
from rehearsal.stages.registry import BY_NAME, NAMES, STAGES


def _run(request: Request) -> list[str]:
    return [one.spec.name for one in plan(request) if not one.skip]


def _reasons(request: Request) -> set[str]:
    return {one.skip for one in plan(request) if one.skip}


def test_all_stages_run_in_their_order_by_default() -> None:
    assert _run(Request()) == ["doctor", "supply", "cluster", "deploy", "contract", "load", "chaos", "events"]


def test_each_need_comes_before_the_stage_that_needs_it() -> None:
    for stage in STAGES:
        assert all(NAMES.index(need) < NAMES.index(stage.name) for need in stage.needs)


def test_only_chosen_stages_run_in_order_of_the_registry() -> None:
    assert _run(Request(stages=("chaos", "contract"))) == ["contract", "chaos"]


def test_others_say_that_nobody_asked_for_them() -> None:
    assert _reasons(Request(stages=("chaos",))) == {"not asked for"}


def test_run_goes_on_from_a_stage() -> None:
    assert _run(Request(start="contract")) == ["contract", "load", "chaos", "events"]


def test_stages_before_it_say_what_is_taken_as_given() -> None:
    assert _reasons(Request(start="load")) == {"the run goes on from load with what is there"}


def test_foreign_cluster_is_neither_examined_nor_made() -> None:
    request = Request(context="staging")

    assert _run(request) == ["supply", "deploy", "contract", "load", "chaos", "events"]
    assert _reasons(request) == {"the cluster of context staging is used as it is"}


@pytest.mark.parametrize("request_", [Request(stages=("lod",)), Request(start="lod")])
def test_unknown_name_is_refused_with_those_that_exist(request_: Request) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan(request_)

    assert "load" in caught.value.hint


def test_list_and_start_together_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="do not go together"):
        plan(Request(stages=("load",), start="load"))


def test_stage_is_not_run_when_what_it_needs_did_not_pass() -> None:
    assert unmet(BY_NAME["load"], {"deploy": Ending.FAIL}, plan(Request())) == "deploy ended FAIL"


def test_stage_is_not_run_when_the_need_of_a_need_did_not_pass() -> None:
    planned = plan(Request(stages=("doctor", "contract")))

    assert unmet(BY_NAME["contract"], {"doctor": Ending.ENVIRONMENT}, planned) == "doctor ended ENVIRONMENT"


def test_need_that_was_left_out_is_taken_as_given() -> None:
    assert unmet(BY_NAME["load"], {}, plan(Request(stages=("load",)))) == ""


def test_failed_contract_does_not_keep_load_from_running() -> None:
    endings = dict.fromkeys(("doctor", "supply", "cluster", "deploy"), Ending.PASS)

    assert unmet(BY_NAME["load"], {**endings, "contract": Ending.FAIL}, plan(Request())) == ""
