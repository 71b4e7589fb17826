"""Topics and schemas: each has the other, or is named."""

from __future__ import annotations

from rehearsal.contract.topics import judge_topics, topics_of
from rehearsal.core.verdicts import Verdict
from rehearsal.deploy.manifests import Manifest

_COMMAND = "python -m mambogo_chassis.events.topics --partitions 6 --replication-factor $(R) orders payments"
_JOB: Manifest = {
    "kind": "Job",
    "metadata": {"name": "topics"},
    "spec": {"template": {"spec": {"containers": [{"name": "topics", "command": _COMMAND.split()}]}}},
}
_SCHEMAS = {"placed": {"x-topic": "orders"}, "captured": {"x-topic": "payments"}}


def test_topics_are_what_is_neither_option_nor_its_value() -> None:
    assert topics_of([_JOB]) == ["orders", "payments"]


def test_job_that_makes_none_has_none() -> None:
    other = {**_JOB, "spec": {"template": {"spec": {"containers": [{"name": "migrations"}]}}}}
    assert topics_of([other]) == []


def test_topics_with_schemas_pass() -> None:
    assert {one.verdict for one in judge_topics(["orders", "payments"], _SCHEMAS)} == {Verdict.PASS}


def test_topic_without_a_schema_is_named() -> None:
    bad = [one for one in judge_topics(["orders", "payments", "refunds"], _SCHEMAS) if one.verdict != "PASS"]

    assert [(one.subject, one.verdict) for one in bad] == [("refunds", Verdict.FAIL)]


def test_topic_that_nothing_makes_is_named_with_its_events() -> None:
    (bad,) = (one for one in judge_topics(["orders"], _SCHEMAS) if one.verdict != "PASS")

    assert (bad.subject, bad.verdict) == ("payments", Verdict.FAIL)
    assert "captured" in bad.sentence


def test_schema_without_a_topic_is_named() -> None:
    (bad,) = (
        one
        for one in judge_topics(["orders"], {"placed": {"x-topic": "orders"}, "odd": {}})
        if one.verdict != "PASS"
    )

    assert "odd" in bad.sentence


def test_manifests_that_make_no_topic_show_nothing() -> None:
    assert [one.verdict for one in judge_topics([], _SCHEMAS)] == [Verdict.INVALID]
