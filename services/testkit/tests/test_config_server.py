"""The config server: each test has application names and files of its own."""

from __future__ import annotations

from typing import Any

import httpx

from mambogo_testkit import ConfigServer, ConfigSpace


def sources(space: ConfigSpace, application: str, profile: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{space.url}/{application}/{profile}", timeout=10).raise_for_status()
    return [source["source"] for source in answer.json()["propertySources"]]


def test_a_profile_comes_before_the_settings_of_all(config_space: ConfigSpace) -> None:
    application = config_space.name("order-service")
    config_space.write(application, {"pool": {"size": 5}})
    config_space.write(application, {"pool": {"size": 20}}, profile="production")
    assert sources(config_space, application, "production") == [{"pool.size": 20}, {"pool.size": 5}]


def test_a_change_is_served_without_a_restart(config_space: ConfigSpace) -> None:
    application = config_space.name("order-service")
    config_space.write(application, {"limit": 1})
    assert sources(config_space, application, "production") == [{"limit": 1}]
    config_space.write(application, {"limit": 2})
    assert sources(config_space, application, "production") == [{"limit": 2}]


def test_another_test_has_no_settings_of_the_same_application(config_server: ConfigServer) -> None:
    one, other = config_server.space(), config_server.space()
    one.write(one.name("order-service"), {"limit": 1})
    assert sources(other, other.name("order-service"), "production") == []


def test_files_survive_a_restart(own_config_server: ConfigServer) -> None:
    space = own_config_server.space()
    space.write(space.name("order-service"), {"limit": 1})
    own_config_server.kill()
    own_config_server.start()
    assert sources(space, space.name("order-service"), "production") == [{"limit": 1}]
