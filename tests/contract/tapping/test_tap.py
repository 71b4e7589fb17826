"""The tap on a real broker: new topics, a restart, what was before, and no process left behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import Mount
from rehearsal.contract.tapping.seen import Seen
from rehearsal.contract.tapping.tap import Sight, Tap
from rehearsal.core.verdicts import Verdict
from rehearsal.core.waiting import wait_until

from tests.contract.tapping.shop_events import (
    CONTENT_TYPE,
    KNOWN,
    ROOT,
    bad,
    captured,
    changed,
    order_id,
    placed,
    reserved,
    sold,
    verdict,
)
from tests.images.test_built import IMAGES, UID, Built

pytestmark = [pytest.mark.engine, pytest.mark.enable_socket]

_BROKER_SECONDS = 240.0  # a loaded machine takes a minute for a JVM that needs two seconds of CPU
_HINT = "The broker's log says what it does: docker logs."


class Broker:
    """A broker of one test, at an address of its own that survives a restart."""

    def __init__(self, container: Container, address: str) -> None:
        self.container = container
        self.address = address

    def await_ready(self) -> None:
        """Wait until it knows its topics."""
        wait_until("Kafka to answer", self._answers, timeout_seconds=_BROKER_SECONDS, hint=_HINT)

    def make(self, *topics: str) -> None:
        """Make topics with one partition each."""
        admin = self._admin()  # alive until the answers are there
        made = admin.create_topics([NewTopic(name, 1, 1) for name in topics])
        for done in made.values():
            done.result(30)

    def send(self, topic: str, events: Iterable[dict[str, Any]]) -> None:
        """Send events as the shop does; returns when they are acknowledged."""
        producer = Producer({"bootstrap.servers": self.address, "acks": "all", "log_level": 0})
        for one in events:
            key = str(one["subject"])
            producer.produce(topic, json.dumps(one).encode(), key, headers=list(CONTENT_TYPE))
        assert producer.flush(60) == 0

    def remove_records(self, topic: str, before: int) -> None:
        """Take a partition's first records away, as retention does."""
        admin = self._admin()
        for done in admin.delete_records([TopicPartition(topic, 0, before)]).values():
            done.result(30)

    def end_of(self, topic: str) -> int:
        """Return where a topic's partition ends."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "test"})
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1])
        finally:
            consumer.close()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def _answers(self) -> bool:
        try:
            return bool(self._admin().list_topics(timeout=2).brokers)
        except KafkaException:
            return False


@pytest.fixture
def broker() -> Iterator[Broker]:
    """Return a broker with the shop's topics; skips where there is no engine or no image."""
    try:
        client = docker.from_env(timeout=120)
    except DockerException:
        pytest.skip("no Docker engine answers")
    image = Built("kafka", client)
    try:
        client.images.get(image.tag)
    except ImageNotFound:
        pytest.skip(f"{image.tag} is not built")
    assert (IMAGES / "kafka").is_dir()
    port = _free_port()
    container = client.containers.run(
        image.tag,
        detach=True,
        read_only=True,
        environment={
            "KAFKA_CFG_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093,HOST://:9094",
            "KAFKA_CFG_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:9092,HOST://127.0.0.1:{port}",
            "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP": ",".join(
                f"{name}:PLAINTEXT" for name in ("CONTROLLER", "PLAINTEXT", "HOST")
            ),
        },
        ports={"9094/tcp": ("127.0.0.1", port)},
        tmpfs={"/tmp": f"uid={UID},gid={UID},mode=0700,exec"},
        mounts=[Mount(target="/var/lib/kafka", source=None, type="volume")],
    )
    try:
        made = Broker(container, f"127.0.0.1:{port}")
        made.await_ready()
        made.make(*KNOWN.topics, *(f"{topic}.dlt" for topic in KNOWN.topics))
        yield made
    finally:
        container.remove(force=True, v=True)
        client.close()


@pytest.fixture
def tap(broker: Broker, tmp_path: Path) -> Iterator[Tap]:
    """Return a tap that is not begun."""
    made = Tap(ROOT, broker.address, tmp_path / "events")
    yield made
    made.close()


def test_tap_follows_over_a_restart_and_into_new_topics(broker: Broker, tap: Tap) -> None:
    early, late, both = order_id(1), order_id(2), order_id(3)
    broker.send("orders", [placed(early), placed(both)])
    tap.begin()
    broker.send("orders", [reserved(early), placed(late)])
    _send_the_rest(broker, early)
    broker.container.kill()
    broker.container.start()
    broker.await_ready()
    broker.send("orders", [reserved(late), reserved(both)])
    broker.make("refunds")
    broker.send("refunds", [placed(late)])
    sight = tap.finish()

    assert bad(verdict(sight.seen, why=sight.why)) == [("events.known", "refunds", Verdict.FAIL)]
    assert _counts(sight) == {"orders": 4, "payments": 1, "inventory": 1, "products": 1, "refunds": 1}
    lines = (tap.folder / "records.ndjson").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["topic"] for line in lines) == sorted(
        ["orders"] * 4 + ["payments", "inventory", "products", "refunds"]
    )


def test_tap_alone_reads_what_the_topics_still_have(broker: Broker, tap: Tap) -> None:
    order = order_id(1)
    broker.send("orders", [placed(order), reserved(order, 3)])
    _send_the_rest(broker, order)
    tap.begin(from_beginning=True)
    sight = tap.finish()

    assert bad(verdict(sight.seen, why=sight.why)) == [("events.sequence", "orders", Verdict.FAIL)]


def test_order_whose_beginning_retention_has_taken_is_not_judged(broker: Broker, tap: Tap) -> None:
    order = order_id(1)
    broker.send("orders", [placed(order), placed(order_id(2))])
    broker.remove_records("orders", 2)
    tap.begin()
    broker.send("orders", [reserved(order), placed(order_id(3))])
    _send_the_rest(broker, order)
    sight = tap.finish()

    assert bad(verdict(sight.seen, why=sight.why)) == []
    assert _topic(sight, "orders").undecided == 1


def test_records_that_went_before_they_were_read_are_no_pass(broker: Broker, tap: Tap) -> None:
    tap.begin()
    broker.send("orders", [placed(order_id(1))])
    _send_the_rest(broker, order_id(1))
    process = tap._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)  # a tap that is too slow
    broker.send("orders", [placed(order_id(number)) for number in range(2, 5000)])
    broker.remove_records("orders", broker.end_of("orders"))
    process.send_signal(signal.SIGCONT)
    broker.send("orders", [placed(order_id(6000))])
    sight = tap.finish()

    assert "were gone before they were read" in "".join(_topic(sight, "orders").blind)
    assert ("events.valid", "orders", Verdict.INVALID) in bad(verdict(sight.seen, why=sight.why))


def test_broker_that_is_away_in_the_end_is_no_pass(broker: Broker, tap: Tap) -> None:
    tap.catch_up_seconds = 3.0
    tap.begin()
    broker.send("orders", [placed(order_id(1))])
    broker.container.kill()
    sight = tap.finish()

    assert Verdict.PASS not in {one.verdict for one in verdict(sight.seen, why=sight.why)}


def test_tap_that_dies_is_no_pass(broker: Broker, tap: Tap) -> None:
    tap.begin()
    assert tap._process is not None
    tap._process.kill()
    sight = tap.finish()

    assert {one.verdict for one in verdict(sight.seen, why=sight.why)} == {Verdict.INVALID}


def test_tap_ends_with_whoever_began_it(broker: Broker, tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from rehearsal.contract.tapping.tap import Tap\n"
        f"tap = Tap(Path({str(ROOT)!r}), {broker.address!r}, Path({str(tmp_path)!r}))\n"
        "tap.begin()\n"
        "print(tap._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    pid = int(ended.stdout)

    assert ended.returncode == -signal.SIGKILL
    wait_until("the tap to end", lambda: not _runs(pid), timeout_seconds=60, hint=f"ps {pid}")


def _send_the_rest(broker: Broker, order: str) -> None:
    broker.send("payments", [captured(order)])
    broker.send("inventory", [sold(order)])
    broker.send("products", [changed()])


def _seen(sight: Sight) -> Seen:
    assert sight.seen is not None, sight.why
    return sight.seen


def _topic(sight: Sight, name: str) -> Any:
    return _seen(sight).topic(name)


def _counts(sight: Sight) -> dict[str, int]:
    return {one.name: one.records for one in _seen(sight).topics if one.records}


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
