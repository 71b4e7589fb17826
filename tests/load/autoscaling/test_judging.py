"""A step of load: each planted defect is found and named, a clean course gives no finding."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rehearsal.core.verdicts import Verdict
from rehearsal.load import checks
from rehearsal.load.autoscaling.sampling import Watch

from tests.load.autoscaling.simulated import (
    END,
    LOADED,
    PROMISE,
    RELIEVED,
    T0,
    Simulation,
    answers,
    changed,
    course,
    judged,
    orders,
)

STEP = {one.id for one in checks.OF_A_STEP}


def test_clean_course_gives_no_finding() -> None:
    found = judged(course())

    assert {one.id: one.verdict for one in found.values()} == dict.fromkeys(
        STEP | {"load.generator"}, Verdict.PASS
    )


@pytest.mark.parametrize("load", [45.0, 60.0, 90.0, 150.0, 400.0])
def test_clean_course_gives_no_finding_whatever_the_load(load: float) -> None:
    assert {one.verdict for one in judged(course(Simulation(load_milli=load))).values()} == {Verdict.PASS}


def test_every_finding_names_the_workload_and_its_evidence() -> None:
    found = judged(course(Simulation(decides=lambda second, wanted, replicas: 2)))["load.scaled"]

    assert (found.subject, found.evidence) == ("order", ("load/samples",))


def test_hpa_that_stays_although_its_formula_asks_for_more_is_found() -> None:
    found = judged(course(Simulation(decides=lambda second, wanted, replicas: 2)))["load.scaled"]

    assert found.verdict is Verdict.FAIL
    assert "stayed at 2" in found.sentence


def test_hpa_that_asks_late_is_found() -> None:
    simulation = Simulation(decides=lambda second, wanted, replicas: replicas if second < 85 else wanted)

    assert judged(course(simulation))["load.scaled"].verdict is Verdict.FAIL


def test_missing_request_is_found_and_named() -> None:
    found = judged(course(Simulation(cpu_request=0, trouble="FailedGetResourceMetric: ...")))["load.scaled"]

    assert found.verdict is Verdict.FAIL
    assert "cpu has no request in pod-" in found.sentence


def test_condition_that_keeps_the_hpa_from_working_is_named() -> None:
    simulation = Simulation(load_milli=0.0, trouble="FailedGetScale: it may not")

    assert "FailedGetScale: it may not" in judged(course(simulation))["load.scaled"].sentence


def test_pods_that_do_not_get_ready_in_time_are_found() -> None:
    found = judged(course(Simulation(start_seconds=500.0)), replace(PROMISE, new_pod_seconds=30.0))[
        "load.scaled"
    ]

    assert found.verdict is Verdict.FAIL
    assert "not ready after" in found.sentence


def test_load_below_the_target_shows_nothing() -> None:
    found = judged(course(Simulation(load_milli=10.0)))

    assert found["load.scaled"].verdict is Verdict.INVALID
    assert found["load.down"].verdict is Verdict.INVALID
    assert found["load.new_pods"].verdict is Verdict.INVALID


def test_hpa_that_asks_for_more_than_its_formula_is_found_with_the_formula() -> None:
    simulation = Simulation(decides=lambda second, wanted, replicas: 6 if wanted > 2 else wanted)
    found = judged(course(simulation))["load.formula"]

    assert found.verdict is Verdict.FAIL
    assert "from 2 to 6" in found.sentence
    assert "cpu" in found.observed


def test_hpa_that_jumps_without_a_reason_is_found() -> None:
    simulation = Simulation(
        load_milli=10.0, decides=lambda second, wanted, replicas: 5 if second == 50 else wanted
    )

    assert judged(course(simulation))["load.formula"].verdict is Verdict.FAIL


def test_hpa_that_gives_back_under_load_is_found() -> None:
    simulation = Simulation(decides=lambda second, wanted, replicas: 2 if second == 75 else wanted)

    assert judged(course(simulation))["load.formula"].verdict is Verdict.FAIL


def test_hpa_that_forgets_its_window_is_found() -> None:
    simulation = Simulation(decides=lambda second, wanted, replicas: 2 if second >= 115 else wanted)

    assert judged(course(simulation))["load.formula"].verdict is Verdict.FAIL


def test_hpa_that_keeps_replicas_without_a_reason_is_found() -> None:
    simulation = Simulation(decides=lambda second, wanted, replicas: max(wanted, replicas))
    found = judged(course(simulation))

    assert found["load.formula"].verdict is Verdict.FAIL
    assert found["load.down"].verdict is Verdict.FAIL


def test_replicas_that_somebody_else_sets_are_found() -> None:
    simulation = Simulation(meddles=lambda second, replicas: 1 if second == 62 else replicas)
    found = judged(course(simulation))["load.formula"]

    assert found.verdict is Verdict.FAIL
    assert "something else than its HPA gave it 1 replicas" in found.sentence


def test_gateway_that_never_sees_new_pods_is_found() -> None:
    given = course()
    found = judged(replace(given, answers=answers(given.watch.samples, lambda pod: "--1000-" in pod.name)))

    assert found["load.new_pods"].verdict is Verdict.FAIL
    assert {one.verdict for name, one in found.items() if name != "load.new_pods"} == {Verdict.PASS}


def test_answers_that_name_no_pod_show_nothing() -> None:
    given = course()
    nameless = [replace(one, address="") for one in given.answers]

    assert judged(replace(given, answers=nameless))["load.new_pods"].verdict is Verdict.INVALID


def test_too_few_answers_show_nothing() -> None:
    given = course()

    assert judged(replace(given, answers=given.answers[::30]))["load.new_pods"].verdict is Verdict.INVALID


def test_orders_that_are_sent_away_are_found() -> None:
    assert changed(orders=orders(accepted=False))["load.slo"].verdict is Verdict.FAIL


def test_orders_that_are_answered_late_are_found() -> None:
    assert changed(orders=orders(latency_seconds=1.5))["load.slo"].verdict is Verdict.FAIL


def test_fat_idle_memory_is_found_and_named() -> None:
    found = judged(course(Simulation(memory_percent=75)))["load.down"]

    assert found.verdict is Verdict.FAIL
    assert "memory at 75 % of a target of 80 % keeps them" in found.sentence


def test_hpa_that_never_comes_down_before_the_load_is_found_and_named() -> None:
    simulation = Simulation(memory_percent=75, replicas=6, desired=6)
    found = judged(replace(course(simulation), orders=[]))

    assert found["load.down"].verdict is Verdict.FAIL
    assert "memory at 75 %" in found["load.down"].sentence
    assert {found[name].verdict for name in STEP - {"load.down"}} == {Verdict.INVALID}


def test_hpa_that_never_comes_down_is_found_when_the_first_look_at_it_got_no_answer() -> None:
    given = course(Simulation(memory_percent=75, replicas=6, desired=6))
    late = Watch(given.watch.samples[1:], ["no answer"], T0, T0 + END)
    found = judged(replace(given, watch=late, loaded=T0, relieved=T0, orders=[]))

    assert found["load.down"].verdict is Verdict.FAIL


def test_watch_that_ends_too_early_shows_nothing() -> None:
    given = course()
    samples = [one for one in given.watch.samples if one.t < T0 + RELIEVED + 20]
    early = Watch(samples, [], T0, T0 + RELIEVED + 20)

    assert judged(replace(given, watch=early))["load.down"].verdict is Verdict.INVALID


def _all_invalid(found: dict[str, object]) -> bool:
    return {getattr(one, "verdict", None) for one in found.values()} == {Verdict.INVALID}


def test_late_generator_makes_everything_invalid() -> None:
    assert _all_invalid(dict(changed(orders=orders(late_seconds=1.0))))


def test_no_orders_make_everything_invalid() -> None:
    assert _all_invalid(dict(changed(orders=[])))


def test_blind_sampler_makes_everything_invalid() -> None:
    samples = [one for one in course().watch.samples if not T0 + 40 < one.t < T0 + 55]

    assert _all_invalid(dict(changed(watch=Watch(samples, ["gone"], T0, T0 + END))))


def test_nothing_seen_makes_everything_invalid() -> None:
    assert _all_invalid(dict(changed(watch=Watch([], ["no answer"], T0, T0 + END), orders=[])))


def test_sampler_that_ended_early_makes_everything_invalid() -> None:
    samples = [one for one in course().watch.samples if one.t < T0 + LOADED + 5]

    assert _all_invalid(dict(changed(watch=Watch(samples, ["gone"], T0, T0 + END))))


def test_metrics_api_that_measures_nothing_makes_everything_invalid() -> None:
    assert _all_invalid(dict(judged(course(Simulation(measures=lambda second: False)))))


def test_metrics_api_that_falls_silent_makes_everything_invalid() -> None:
    simulation = Simulation(measures=lambda second: not 60 <= second < 110)

    assert _all_invalid(dict(judged(course(simulation))))


def test_one_failed_look_of_the_metrics_api_is_forgiven() -> None:
    simulation = Simulation(measures=lambda second: not 140 <= second < 160)

    assert Verdict.FAIL not in {one.verdict for one in judged(course(simulation)).values()}


def test_generator_says_what_it_cost() -> None:
    assert "sampling took 0.5 % of a core" in judged(course())["load.generator"].observed


@pytest.mark.parametrize(("is_loaded", "verdict"), [(False, Verdict.PASS), (True, Verdict.FAIL)])
def test_what_was_decided_before_anybody_looked_is_judged_from_the_load_on(
    verdict: Verdict, *, is_loaded: bool
) -> None:
    """Four replicas for a second, which no measurement explains: of what others asked, or of this load."""
    clean = course()
    first, second, *rest = clean.watch.samples
    watch = replace(clean.watch, samples=[first, replace(second, desired=4), *rest])
    loaded = first.t if is_loaded else clean.loaded

    assert judged(replace(clean, watch=watch, loaded=loaded))["load.formula"].verdict is verdict
