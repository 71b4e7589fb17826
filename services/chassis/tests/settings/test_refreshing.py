"""Changes while the service runs: taken over, waiting for a restart, or refused."""

from pathlib import Path

import msgspec
import pytest

from mambogo_chassis.settings import LiveSettings, LoadReport, ServiceSettings, SettingsError, refreshable
from mambogo_chassis.settings.config_server import Answer, ConfigServer, PropertySource
from support.faults import answer, fault_server


class ShopSettings(ServiceSettings):
    db_host: str = "db"
    limit: int = refreshable(5, ge=1)


def live(environment: dict[str, str] | None = None, cache: Path | None = None) -> LiveSettings[ShopSettings]:
    return LiveSettings(
        ShopSettings(application_name="shop"), LoadReport("none"), environment=environment, cache_path=cache
    )


def pushed(**values: str | int) -> Answer:
    return Answer("shop", ["default"], [PropertySource("shop.yml", dict(values))])


def test_a_refreshable_field_changes_and_listeners_hear_of_it() -> None:
    settings, heard = live(), []
    settings.on_change(lambda new: heard.append(new.limit))
    assert settings.apply(pushed(limit=9)) == {"limit"}
    assert (settings.current.limit, heard) == (9, [9])


def test_another_field_waits_for_a_restart_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    settings = live()
    settings.apply(pushed(db_host="other"))
    assert settings.current.db_host == "db"
    assert settings.restart_needed == frozenset({"db_host"})
    assert "only a restart takes over: db_host" in caplog.text


def test_a_bad_answer_changes_nothing_at_all() -> None:
    settings = live()
    with pytest.raises(SettingsError, match="limit"):
        settings.apply(pushed(limit=0, log_level="DEBUG"))
    assert (settings.current.limit, settings.current.log_level) == (5, "INFO")


def test_a_property_that_goes_away_returns_to_its_default() -> None:
    settings = live()
    settings.apply(pushed(limit=9))
    settings.apply(pushed())
    assert settings.current.limit == 5


def test_the_environment_still_wins() -> None:
    settings = live({"LIMIT": "7"})
    settings.apply(pushed(limit=9))
    assert settings.current.limit == 7


async def test_a_refresh_keeps_the_answer_for_the_next_start(tmp_path: Path) -> None:
    body = {
        "name": "shop",
        "profiles": ["default"],
        "propertySources": [{"name": "f", "source": {"limit": 8}}],
    }
    with fault_server(answer(msgspec.json.encode(body))) as server:
        settings = live(cache=tmp_path / "cache")
        assert await settings.refresh(ConfigServer(server.url, "shop", "default"))
    assert settings.current.limit == 8
    assert (tmp_path / "cache").exists()


async def test_an_outage_is_reported_once_and_recovery_needs_no_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = {"name": "shop", "profiles": ["default"], "propertySources": []}
    with fault_server(answer(msgspec.json.encode(body))) as server:
        settings, asked = live(), ConfigServer(server.url, "shop", "default")
        server.stop_listening()
        assert not await settings.refresh(asked)
        assert not await settings.refresh(asked)
        server.listen_again()
        assert await settings.refresh(asked)
    assert caplog.text.count("settings not refreshed") == 1
