"""The re-drive over a bad way: it is done, or says that it is not, and may be run again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from mambogo_testkit.dependencies.kafka import KafkaBroker
from mambogo_testkit.faults import Blackhole, Fault
from mambogo_testkit.proxy import FaultProxy
from prometheus_client import CollectorRegistry

from mambogo_chassis.database import Connection
from mambogo_chassis.events import CloudEvent, PermanentEventError, redrive
from mambogo_chassis.events.publishing import producer_config
from mambogo_chassis.events.redrive import RedriveError, Selection, select, send
from support.bad_ways import FAULTS
from support.data import OrderPlaced, eventually, scalar
from support.pipeline import Pipeline

pytestmark = pytest.mark.timeout(300)

# A few of the command's own bounds, and the rest for a busy machine.
BOUND_SECONDS = 60.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive, "_TIMEOUT_SECONDS", 2.0)


async def bury(pipeline: Pipeline, *orders: str) -> None:
    """Make a dead letter of each."""
    consumer = pipeline.consumer()

    async def refuse(connection: Connection, event: CloudEvent[OrderPlaced]) -> None:
        raise PermanentEventError("not today")

    consumer.on(OrderPlaced)(refuse)
    pipeline.produce(*(pipeline.event(order) for order in orders))
    member = pipeline.run_consumer(consumer)

    async def buried() -> bool:
        found = await scalar(pipeline.database, "SELECT count(*) FROM inbox WHERE outcome = 'dead'")
        return bool(found == len(orders))

    await eventually("the records to be given up", buried)
    await member.stop()
    relay = pipeline.relay()
    while await relay.round():
        pass


async def run(pipeline: Pipeline, proxy: FaultProxy) -> int:
    command = ["--bootstrap-servers", proxy.address, "--topic", pipeline.topic, "--consumer", pipeline.group]
    return await asyncio.to_thread(redrive.main, command)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_bad_way_to_the_broker_is_said_in_bounded_time_and_the_command_can_be_run_again(
    pipeline: Pipeline,
    kafka_broker: KafkaBroker,
    capsys: pytest.CaptureFixture[str],
    fault: Callable[[], Fault],
) -> None:
    await bury(pipeline, "o-1", "o-2")
    with kafka_broker.proxied() as proxy:
        with proxy.inject(fault()):
            started = time.monotonic()
            code = await run(pipeline, proxy)
            assert time.monotonic() - started < BOUND_SECONDS
        said = capsys.readouterr()
        assert (code, bool(said.err)) in ((0, False), (redrive.EXIT_FAILED, True)), said
        assert await run(pipeline, proxy) == 0
        assert "2 sent again" in capsys.readouterr().out
    await assert_effect_once(pipeline, "o-1", "o-2")


async def test_a_broker_that_refuses_is_an_error_that_says_what_to_do(
    pipeline: Pipeline, kafka_broker: KafkaBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    with kafka_broker.proxied() as proxy, proxy.refuse():
        assert await run(pipeline, proxy) == redrive.EXIT_FAILED
    assert "is Kafka there?" in capsys.readouterr().err


async def test_letters_that_are_not_acknowledged_are_an_error_and_take_effect_once_all_the_same(
    pipeline: Pipeline, kafka_broker: KafkaBroker
) -> None:
    await bury(pipeline, "o-1")
    letters = await asyncio.to_thread(
        select, pipeline.bootstrap_servers, Selection(pipeline.topic, pipeline.group)
    )
    with kafka_broker.proxied() as proxy:
        with proxy.inject(Blackhole()), pytest.raises(RedriveError, match="1 of 1 were not acknowledged"):
            await asyncio.to_thread(send, proxy.address, letters, consumer=pipeline.group)
        await asyncio.to_thread(send, proxy.address, letters, consumer=pipeline.group)
    await assert_effect_once(pipeline, "o-1")


async def test_more_letters_than_the_client_can_hold_at_once_are_sent(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bury(pipeline, "o-1")
    letters = await asyncio.to_thread(
        select, pipeline.bootstrap_servers, Selection(pipeline.topic, pipeline.group)
    )

    def narrow(bootstrap_servers: str, client_id: str) -> dict[str, object]:
        return producer_config(bootstrap_servers, client_id) | {"queue.buffering.max.messages": 2}

    monkeypatch.setattr(redrive, "producer_config", narrow)
    await asyncio.to_thread(send, pipeline.bootstrap_servers, letters * 20, consumer=pipeline.group)
    assert len(await pipeline.records()) == 21
    await assert_effect_once(pipeline, "o-1")


async def assert_effect_once(pipeline: Pipeline, *orders: str) -> None:
    """Consume whatever was sent again, to the end."""
    registry = CollectorRegistry()
    member = pipeline.run_consumer(pipeline.consumer(registry=registry))

    async def all_taken() -> bool:
        return await pipeline.committed_lag() == 0

    await eventually("everything to be consumed", all_taken)
    await member.stop()
    assert sorted(await pipeline.effects()) == sorted(orders)
