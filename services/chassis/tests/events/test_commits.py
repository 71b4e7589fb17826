"""Commits that Kafka refuses, as in a rebalance: made again while the partition is ours, and only then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from mambogo_chassis.events import consuming
from mambogo_chassis.events.consuming import Partition
from support.data import event_settings, eventually
from support.pipeline import Pipeline


@pytest.mark.parametrize("refusals", [1, 3])
async def test_a_refused_commit_is_made_up_for_though_nothing_more_comes(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    left = refusals

    class Refused(Consumer):
        """Refused by the broker as often as a rebalance takes."""

        def commit(self, *args: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                return super().commit(*args, **options)
            left -= 1
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))

    monkeypatch.setattr(consuming, "Consumer", Refused)
    pipeline.run_consumer()
    pipeline.produce(pipeline.event("o-1"))
    assert await pipeline.await_effects(1) == ["o-1"]

    async def caught_up() -> bool:
        return await pipeline.committed_lag() == 0

    await eventually("what took effect is committed", caught_up)
    assert left == 0


async def test_a_refused_commit_is_not_made_up_for_where_others_have_the_partition(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, asked = True, set[int]()

    class Refused(Consumer):
        """Refused as long as somebody says so."""

        def commit(self, *args: Any, **options: Any) -> Any:
            if refused:
                raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))
            asked.update(one.partition for one in options["offsets"])
            return super().commit(*args, **options)

    monkeypatch.setattr(consuming, "Consumer", Refused)
    settings = event_settings(pipeline.bootstrap_servers, consumer_poll_seconds=0.2)
    first, second = [
        consuming.KafkaSource(settings, group=pipeline.group, topics=[pipeline.topic]) for _ in range(2)
    ]
    for number in range(40):
        pipeline.produce(pipeline.event(f"o-{number}"), key=f"{number}".encode())
    await first.open()
    done: dict[Partition, int] = {}
    while len(done) < 4:
        done |= {(one.topic, one.partition): one.offset + 1 for one in await first.fetch(40)}
    await first.commit(done)

    await second.open()

    async def shared() -> bool:
        await asyncio.gather(first.fetch(40), second.fetch(40))
        return len(await first.lag()) == 2

    await eventually("the second member has half of the partitions", shared)
    refused = False

    async def made_up() -> bool:
        await first.fetch(40)
        return bool(asked)

    await eventually("what was refused is committed", made_up)
    assert asked == {partition for _, partition in await first.lag()}
    await first.close()
    await second.close()
