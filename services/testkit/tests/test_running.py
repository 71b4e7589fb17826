"""A dependency that ends while it is waited for is reported at once, with its log."""

from __future__ import annotations

import pytest

from mambogo_testkit import TestkitError
from mambogo_testkit.dependencies import redis
from mambogo_testkit.engine import Engine, Spec
from mambogo_testkit.fleet import Fleet, Kind
from mambogo_testkit.images import ensure_image
from mambogo_testkit.running import Running


def start_with_a_bad_option(engine: Engine) -> Running:
    image = ensure_image(engine.client, "redis")
    spec = Spec(kind="redis", image=image, ports={"redis": 6379}, command=("--no-such-option", "1"))
    container, ports = engine.start(["redis"], lambda _: spec)
    return Running("redis", (container,), ports, {"password": ""})


def test_the_error_of_a_failed_start_holds_its_log() -> None:
    fleet = Fleet({"redis": Kind(start_with_a_bad_option, redis.RedisServer)})
    try:
        with pytest.raises(TestkitError, match="no-such-option") as raised:
            fleet.get("redis")
        assert raised.value.code == "exited"
    finally:
        fleet.close()


def test_credentials_are_not_printed() -> None:
    running = Running("postgres", ("id",), {"postgres": 1}, {"password": "hidden-value"})
    assert "hidden-value" not in repr(running)
    assert Running.from_json(running.to_json()) == running
