"""Phases, background tasks and what health says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from mambogo_chassis.actuator import Health
from mambogo_chassis.lifecycle import Lifecycle, Phase, Supervisor


async def forever() -> None:
    await asyncio.Event().wait()


async def dies() -> None:
    raise RuntimeError("relay broke")


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor()


@pytest.fixture
def health(lifecycle: Lifecycle, supervisor: Supervisor) -> Health:
    return Health(lifecycle, supervisor)


async def test_a_phase_never_goes_back(lifecycle: Lifecycle) -> None:
    await lifecycle.move_to(Phase.DRAINING)
    await lifecycle.move_to(Phase.READY)
    assert lifecycle.phase is Phase.DRAINING


async def test_stopping_is_set_when_draining_begins(lifecycle: Lifecycle) -> None:
    await lifecycle.move_to(Phase.READY)
    assert not lifecycle.stopping.is_set()
    await lifecycle.move_to(Phase.DRAINING)
    assert lifecycle.stopping.is_set()


async def test_a_listener_that_fails_does_not_stop_the_stop(lifecycle: Lifecycle) -> None:
    heard = []

    async def broken(phase: Phase) -> None:
        raise RuntimeError("no")

    async def sound(phase: Phase) -> None:
        heard.append(phase)

    lifecycle.on_phase(broken)
    lifecycle.on_phase(sound)
    await lifecycle.move_to(Phase.DRAINING)
    assert heard == [Phase.DRAINING]


async def test_a_task_that_died_turns_liveness_red(
    supervisor: Supervisor, health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start("relay", dies)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading = health.liveness()
    assert (reading.status, reading.details) == ("DOWN", {"deadTasks": {"relay": "RuntimeError"}})
    assert "task relay died" in caplog.text


async def test_a_task_that_was_cancelled_by_another_is_dead_too(supervisor: Supervisor) -> None:
    supervisor.start("relay", forever)
    await asyncio.sleep(0)
    supervisor._tasks["relay"].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert supervisor.dead == {"relay": "cancelled"}


async def test_stopped_tasks_are_not_dead(supervisor: Supervisor) -> None:
    supervisor.start("relay", forever)
    await supervisor.stop()
    assert supervisor.dead == {}


async def test_a_task_that_refuses_to_stop_is_left_after_a_bound(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    supervisor.start("stubborn", stubborn)
    await asyncio.sleep(0)
    await supervisor.stop(timeout_seconds=0.05)
    assert "task stubborn did not end" in caplog.text
    release.set()
    await asyncio.gather(*supervisor._tasks.values())


async def test_a_task_that_can_end_by_itself_is_asked_to_and_not_cancelled(supervisor: Supervisor) -> None:
    asked = asyncio.Event()
    finished: list[str] = []

    async def relay() -> None:
        await asked.wait()
        await asyncio.sleep(0.01)
        finished.append("relay")

    supervisor.start("relay", relay, asked.set)
    supervisor.start("watch", forever)
    await supervisor.stop()
    assert finished == ["relay"]
    assert supervisor.dead == {}


async def test_a_task_that_was_asked_and_does_not_end_is_cancelled(supervisor: Supervisor) -> None:
    supervisor.start("relay", forever, lambda: None)
    await asyncio.sleep(0)
    await supervisor.stop(finish_seconds=0.05)
    assert supervisor.is_done("relay")


async def test_two_tasks_of_one_name_are_refused(supervisor: Supervisor) -> None:
    supervisor.start("relay", forever)
    with pytest.raises(ValueError, match="relay"):
        supervisor.start("relay", forever)
    await supervisor.stop()


async def test_liveness_never_asks_a_dependency(health: Health) -> None:
    async def gone() -> Mapping[str, object]:
        raise ConnectionError

    health.add("database", gone, readiness=True)
    assert health.liveness().status == "UP"


async def test_readiness_follows_the_phase_and_its_parts(lifecycle: Lifecycle, health: Health) -> None:
    assert (await health.readiness()).status == "OUT_OF_SERVICE"
    await lifecycle.move_to(Phase.READY)
    assert (await health.readiness()).status == "UP"

    async def gone() -> Mapping[str, object]:
        raise ConnectionError("db-7.internal refused alice")

    health.add("optional", gone)
    assert (await health.readiness()).status == "UP"
    health.add("needed", gone, readiness=True)
    reading = await health.readiness()
    assert (reading.status, reading.details) == ("OUT_OF_SERVICE", {"down": ["needed"]})


async def test_the_aggregate_shows_every_part_and_no_message(lifecycle: Lifecycle, health: Health) -> None:
    async def gone() -> Mapping[str, object]:
        raise ConnectionError("db-7.internal refused alice")

    async def there() -> Mapping[str, object]:
        return {"version": "15.18"}

    await lifecycle.move_to(Phase.READY)
    health.add("database", gone)
    health.add("broker", there)
    worst, parts = await health.aggregate()
    assert worst.status == "DOWN"
    assert parts["database"].details == {"error": "ConnectionError"}
    assert parts["broker"].details == {"version": "15.18"}


async def test_many_watchers_ask_a_dependency_once(lifecycle: Lifecycle, health: Health) -> None:
    asked = 0

    async def probe() -> Mapping[str, object] | None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return None

    health.add("database", probe)
    await asyncio.gather(*(health.aggregate() for _ in range(100)))
    assert asked == 1


async def test_a_probe_that_hangs_is_down_within_a_bound(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> Mapping[str, object] | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr("mambogo_chassis.actuator.health.PROBE_TIMEOUT_SECONDS", 0.05)
    health.add("database", hang)
    _, parts = await health.aggregate()
    assert parts["database"].details == {"error": "TimeoutError"}
