"""Settings from a real Spring Cloud Config Server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mambogo_chassis.settings import LiveSettings, ServiceSettings, load_settings, refreshable
from mambogo_chassis.settings.loading import config_server

if TYPE_CHECKING:
    from mambogo_testkit.dependencies.config_server import ConfigSpace


class ShopSettings(ServiceSettings):
    db_host: str
    limit: int = refreshable(5)


def environment_of(space: ConfigSpace) -> dict[str, str]:
    return {"SPRING_CLOUD_CONFIG_URI": space.url, "SPRING_PROFILES_ACTIVE": "production"}


def test_the_profile_wins_over_the_application(config_space: ConfigSpace, tmp_path: Path) -> None:
    name = config_space.name("shop")
    config_space.write(name, {"db": {"host": "general"}, "limit": 7, "authorized-parties": ["a", "b"]})
    config_space.write(name, {"db": {"host": "special"}}, profile="production")
    settings, report = load_settings(
        ShopSettings,
        application_name=name,
        environment=environment_of(config_space),
        cache_path=tmp_path / "cache",
    )
    assert (settings.db_host, settings.limit, settings.authorized_parties) == ("special", 7, ("a", "b"))
    assert report.origin == "config server"
    assert f"{name}-production.yml" in report.places["db_host"]


async def test_a_change_is_taken_over_while_running(config_space: ConfigSpace) -> None:
    name = config_space.name("shop")
    environment = environment_of(config_space)
    config_space.write(name, {"db.host": "db", "limit": 7})
    settings, report = load_settings(ShopSettings, application_name=name, environment=environment)
    live = LiveSettings(settings, report, environment=environment)
    config_space.write(name, {"db.host": "db", "limit": 8})
    server = config_server(name, environment)
    assert server is not None
    assert await live.refresh(server)
    assert live.current.limit == 8
