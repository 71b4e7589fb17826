"""Topics are made with their dead letter topics, and left alone when they are there."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient
from mambogo_testkit.dependencies.kafka import TopicSpace

from mambogo_chassis.events import redrive, topics
from mambogo_chassis.events.topics import TopicError, ensure_topics


def test_a_topic_is_made_with_its_dead_letters(kafka_topics: TopicSpace) -> None:
    topic = kafka_topics.name("orders")
    ensure_topics(kafka_topics.bootstrap_servers, [topic], partitions=3, replication_factor=1)
    kafka_topics.await_topics(topic, f"{topic}.dlt")
    found = AdminClient({"bootstrap.servers": kafka_topics.bootstrap_servers}).list_topics(timeout=20).topics
    assert (len(found[topic].partitions), len(found[f"{topic}.dlt"].partitions)) == (3, 1)


def test_a_topic_that_is_there_is_left_alone(kafka_topics: TopicSpace) -> None:
    topic = kafka_topics.create("orders", partitions=2)
    ensure_topics(kafka_topics.bootstrap_servers, [topic], partitions=3, replication_factor=1)
    found = AdminClient({"bootstrap.servers": kafka_topics.bootstrap_servers}).list_topics(timeout=20).topics
    assert len(found[topic].partitions) == 2


def test_a_topic_that_cannot_be_made_is_an_error(kafka_topics: TopicSpace) -> None:
    with pytest.raises(TopicError, match="could not be made"):
        ensure_topics(
            kafka_topics.bootstrap_servers, [kafka_topics.name("x")], partitions=1, replication_factor=3
        )


def test_the_job_makes_what_it_is_told_and_says_so(
    kafka_topics: TopicSpace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_topics.bootstrap_servers)
    name = kafka_topics.name("payments")
    assert topics.main(["--partitions", "3", "--replication-factor", "1", name]) == 0
    kafka_topics.await_topics(name, f"{name}.dlt")
    assert capsys.readouterr().out == f"{name} and their dead letter topics are there\n"


def test_the_job_fails_when_a_topic_cannot_be_made(
    kafka_topics: TopicSpace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_topics.bootstrap_servers)
    assert topics.main(["--partitions", "3", "--replication-factor", "5", kafka_topics.name("x")]) == 1
    assert "could not be made" in capsys.readouterr().err


def test_the_redrive_command_says_when_there_is_no_such_topic(
    kafka_topics: TopicSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--bootstrap-servers", kafka_topics.bootstrap_servers, "--consumer", "c"]
    assert redrive.main([*arguments, "--topic", kafka_topics.name("missing")]) == redrive.EXIT_FAILED
    assert "missing.dlt" in capsys.readouterr().err


def test_the_redrive_command_counts_what_it_sends(
    kafka_topics: TopicSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka_topics.create("orders.dlt", partitions=1)
    arguments = ["--bootstrap-servers", kafka_topics.bootstrap_servers, "--consumer", "c"]
    assert redrive.main([*arguments, "--topic", kafka_topics.name("orders"), "--dry-run"]) == 0
    assert capsys.readouterr().out == "0 found\n"
