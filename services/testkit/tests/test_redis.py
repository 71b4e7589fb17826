"""Redis: each test has an empty database of its own."""

from __future__ import annotations

import docker
import pytest
import redis

from mambogo_testkit import RedisServer, RedisSpace


@pytest.mark.parametrize("number", range(2))
def test_each_test_gets_an_empty_database(redis_space: RedisSpace, number: int) -> None:
    with redis.Redis.from_url(redis_space.url) as client:
        assert client.dbsize() == 0  # the second test would find the first one's key
        client.set("cart", number)


def test_two_spaces_do_not_see_each_other(redis_server: RedisServer) -> None:
    with redis_server.space() as one, redis_server.space() as other:
        with redis.Redis.from_url(one.url) as client:
            client.set("cart", 1)
        with redis.Redis.from_url(other.url) as client:
            assert client.get("cart") is None


def test_a_space_is_emptied_after_its_test(redis_server: RedisServer) -> None:
    with redis_server.space() as space, redis.Redis.from_url(space.url) as client:
        client.set("cart", 1)
    with redis.Redis.from_url(space.url) as client:
        assert client.dbsize() == 0


def test_a_password_is_required(redis_space: RedisSpace) -> None:
    with (
        redis.Redis(host=redis_space.host, port=redis_space.port) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_an_orderly_restart_keeps_the_data(own_redis: RedisServer) -> None:
    with own_redis.space() as space, redis.Redis.from_url(space.url) as client:
        client.set("cart", "apples")
        own_redis.stop()
        with pytest.raises(redis.ConnectionError):
            client.get("cart")
        own_redis.start()
        assert client.get("cart") == b"apples"


def test_a_paused_server_accepts_and_never_answers(own_redis: RedisServer) -> None:
    with own_redis.space() as space:
        own_redis.pause()
        with redis.Redis.from_url(space.url, socket_timeout=0.5) as client, pytest.raises(redis.TimeoutError):
            client.ping()
        own_redis.unpause()
        with redis.Redis.from_url(space.url) as client:
            assert client.ping()


def test_the_engine_does_not_ask_a_container_how_it_is(
    redis_server: RedisServer, engine_client: docker.DockerClient
) -> None:
    attributes = engine_client.containers.get(redis_server.running.containers[0]).attrs or {}
    assert attributes["Config"]["Healthcheck"]["Test"] == ["NONE"]
