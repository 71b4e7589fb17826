"""Two pods, asked in turn: what drifts, and what an idle pod uses, is not in the ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from rehearsal.cluster.usage import PodOnNode
from rehearsal.load.weighing.judging import MOST_PAIRS, Measured
from rehearsal.load.weighing.measuring import MOST_IDLE, Scale, Side, TroubleError, VoidError
from rehearsal.load.weighing.operations import Operation, of

GET, LIST, PLACE = of("order-service")
BEFORE = PodOnNode("order-before", "node", "b", "")
AFTER = PodOnNode("order-a", "node", "a", "")
OTHER = PodOnNode("order-o", "node", "o", "")
_NANOSECONDS = 1_000_000.0  # a request, before
_MORE = {GET.key: 1.0, LIST.key: 1.3, PLACE.key: 1.2}  # what it costs now, times that
_SECONDS_A_REQUEST = 0.002
_ELSEWHERE = 0.5  # of an order's work is in another pod


@dataclass
class Machine:
    """Pods whose counters move as they are told."""

    idle: float = 0.0
    now: float = 0.0
    speed: Callable[[float], float] = lambda now: 1.0
    trouble: Callable[[Operation, PodOnNode], str] = lambda operation, pod: ""
    gone: Callable[[Sequence[PodOnNode]], bool] = lambda pods: False
    still: bool = False
    nanoseconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys("abo", 0.0))
    asked: list[str] = field(default_factory=list)


@dataclass
class FakePods:
    """The pods as somebody sees them who asks one of them."""

    machine: Machine
    pod: PodOnNode

    def counted(self, operation: Operation) -> Sequence[PodOnNode]:
        """Return all pods for orders."""
        return (BEFORE, AFTER, OTHER) if operation.places_orders else (self.pod,)

    def used(self, pods: Sequence[PodOnNode]) -> int:
        """Return what was used, by idling as well."""
        machine = self.machine
        if machine.gone(pods):
            raise VoidError("order-o has ended")
        return 0 if machine.still else int(sum(machine.nanoseconds[one.container_id] for one in pods))

    def ask(self, operation: Operation) -> None:
        """Use what the operation costs."""
        machine = self.machine
        if said := machine.trouble(operation, self.pod):
            raise TroubleError(said)
        machine.asked.append(f"{self.pod.name} {operation.key}")
        more = _MORE[operation.key] if self.pod is AFTER else 1.0
        cost = operation.times * more * _NANOSECONDS * machine.speed(machine.now)
        elsewhere = _ELSEWHERE if operation.places_orders else 0.0
        machine.nanoseconds[self.pod.container_id] += cost * (1 - elsewhere)
        machine.nanoseconds["o"] += cost * elsewhere
        seconds = operation.times * _SECONDS_A_REQUEST
        machine.now += seconds
        for name in machine.nanoseconds:
            machine.nanoseconds[name] += machine.idle * seconds * 1e9


def _weigh(
    machine: Machine, pairs: int = 10, operations: Sequence[Operation] = (GET, LIST, PLACE)
) -> list[Measured]:
    before, after = [Side(FakePods(machine, pod), machine.idle) for pod in (BEFORE, AFTER)]
    scale = Scale(before, after, lambda: machine.now)
    return scale.weigh(operations, lambda ratios: len(ratios) >= pairs)


def _ratios(measured: Sequence[Measured]) -> list[float]:
    return [round(sum(one.ratios) / len(one.ratios), 2) for one in measured]


def test_ratios_are_how_much_more_the_operations_cost() -> None:
    assert _ratios(_weigh(Machine())) == [1.0, 1.3, 1.2]


def test_what_an_idle_pod_uses_is_taken_off_for_each_pod_that_is_counted() -> None:
    assert _ratios(_weigh(Machine(idle=0.02))) == [1.0, 1.3, 1.2]


def test_a_machine_that_slows_down_all_the_time_changes_nothing_much() -> None:
    found = _ratios(_weigh(Machine(speed=lambda now: 1 + now / 10)))
    assert found == pytest.approx([1.0, 1.3, 1.2], rel=0.03)


def test_milliseconds_are_those_of_one_request_now() -> None:
    assert _weigh(Machine())[1].milliseconds == pytest.approx(1.3)


def test_pods_are_asked_in_turn_there_and_back_after_a_warm_up() -> None:
    machine = Machine()
    _weigh(machine, pairs=2, operations=[GET])
    before, after = f"order-before {GET.key}", f"order-a {GET.key}"
    assert machine.asked == [*[before, after] * 3, before, after, after, before]


def test_measuring_ends_with_the_most_pairs() -> None:
    (found,) = _weigh(Machine(), pairs=1000, operations=[GET])
    assert len(found.ratios) == MOST_PAIRS


@pytest.mark.parametrize("pod", [BEFORE, AFTER], ids=["before", "after"])
def test_request_that_failed_is_the_trouble_of_its_operation_alone(pod: PodOnNode) -> None:
    def fails(operation: Operation, asked: PodOnNode) -> str:
        return "was answered 503" if operation is LIST and asked is pod else ""

    found = _weigh(Machine(trouble=fails))
    assert [one.trouble for one in found] == ["", "was answered 503", ""]
    assert [len(one.ratios) for one in found] == [10, 0, 10]


def test_counter_that_does_not_move_is_trouble() -> None:
    (found,) = _weigh(Machine(still=True), operations=[GET])
    assert "did not move" in found.trouble


def test_pods_that_were_busy_before_anybody_asked_are_trouble() -> None:
    machine = Machine(idle=2 * MOST_IDLE)
    found = _weigh(machine)
    assert {one.trouble for one in found} == {"a pod that nobody asked used 60 m of CPU: another load ran"}
    assert machine.asked == []


def test_pair_that_was_cut_off_by_a_pod_s_end_is_left_out() -> None:
    calls = iter(range(1000))
    machine = Machine(gone=lambda some: OTHER in some and next(calls) == 3)
    (found,) = _weigh(machine, operations=[PLACE])
    assert (found.trouble, len(found.ratios)) == ("", 10)


def test_pod_that_is_gone_for_good_is_trouble() -> None:
    (found,) = _weigh(Machine(gone=lambda some: OTHER in some), operations=[PLACE])
    assert (found.trouble, found.ratios) == ("order-o has ended", ())
