"""Which source wins, what is refused and how it is named."""

from pathlib import Path

import pytest
from pydantic import Field

from mambogo_chassis.settings import ServiceSettings, SettingsError, load_settings, refreshable
from mambogo_chassis.settings.config_server import Answer, PropertySource
from mambogo_chassis.settings.loading import Sources, resolve


class ShopSettings(ServiceSettings):
    db_host: str
    db_pool_size: int = Field(default=10, ge=1, le=100)
    db_password: str = ""
    limit: int = refreshable(5, ge=1)


FIXED = {"application_name": "shop"}


def answer(*sources: dict[str, str | int | float | bool | None]) -> Answer:
    return Answer(
        "shop",
        ["default"],
        [PropertySource(f"file{number}.yml", source) for number, source in enumerate(sources)],
    )


def test_environment_wins_over_config_server_wins_over_default() -> None:
    settings, places = resolve(
        ShopSettings,
        Sources({"DB_HOST": "env"}, answer({"db.host": "server", "db.pool-size": 20}), FIXED),
    )
    assert (settings.db_host, settings.db_pool_size, settings.limit) == ("env", 20, 5)
    assert places["db_host"] == "environment variable DB_HOST"
    assert places["db_pool_size"] == "property db.pool-size in file0.yml"


def test_earlier_property_sources_win() -> None:
    settings, _ = resolve(
        ShopSettings, Sources({}, answer({"db-host": "first"}, {"db-host": "second"}), FIXED)
    )
    assert settings.db_host == "first"


@pytest.mark.parametrize("name", ["db.poolSize", "db-pool-size", "DB_POOL_SIZE", "db.pool.size"])
def test_names_bind_as_springs_do(name: str) -> None:
    settings, _ = resolve(ShopSettings, Sources({"DB_HOST": "x"}, answer({name: 33}), FIXED))
    assert settings.db_pool_size == 33


def test_a_yaml_list_of_the_server_becomes_a_tuple() -> None:
    listed = answer({"authorized-parties[1]": "b", "authorized-parties[0]": "a", "db.host": "x"})
    settings, _ = resolve(ShopSettings, Sources({}, listed, FIXED))
    assert settings.authorized_parties == ("a", "b")


def test_a_list_in_the_environment_is_separated_by_commas() -> None:
    settings, _ = resolve(ShopSettings, Sources({"DB_HOST": "x", "AUTHORIZED_PARTIES": "a, b"}, None, FIXED))
    assert settings.authorized_parties == ("a", "b")


def test_every_bad_value_is_named_with_its_place() -> None:
    sources = Sources({"DB_POOL_SIZE": "many"}, answer({"limit": 0}), FIXED)
    with pytest.raises(SettingsError) as caught:
        resolve(ShopSettings, sources)
    text = "\n".join(caught.value.problems)
    assert "db_pool_size (environment variable DB_POOL_SIZE): " in text
    assert "limit (property limit in file0.yml): " in text
    assert "db_host (not set anywhere: environment variable DB_HOST" in text


def test_a_refused_value_is_never_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(ShopSettings, Sources({"DB_HOST": "x", "DB_POOL_SIZE": "hunter2"}, None, FIXED))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_unknown_properties_of_the_server_are_other_services_business() -> None:
    settings, _ = resolve(ShopSettings, Sources({"DB_HOST": "x"}, answer({"gateway.routes": 1}), FIXED))
    assert settings.db_host == "x"


def test_the_application_name_cannot_be_changed_from_outside() -> None:
    settings, _ = resolve(ShopSettings, Sources({"DB_HOST": "x", "APPLICATION_NAME": "other"}, None, FIXED))
    assert settings.application_name == "shop"


def test_two_fields_that_bind_to_one_name_are_refused() -> None:
    class Ambiguous(ServiceSettings):
        db_url: str = ""
        dburl: str = ""

    with pytest.raises(SettingsError, match="bind to the same names"):
        resolve(Ambiguous, Sources({}, None, FIXED))


def test_without_a_config_server_environment_and_defaults_are_enough(tmp_path: Path) -> None:
    settings, report = load_settings(
        ShopSettings, application_name="shop", environment={"DB_HOST": "db"}, cache_path=tmp_path / "cache"
    )
    assert (settings.db_host, report.origin, settings.profile) == ("db", "none", "default")


def test_an_address_that_is_none_is_refused_by_its_variable() -> None:
    with pytest.raises(SettingsError, match="SPRING_CLOUD_CONFIG_URI"):
        load_settings(
            ShopSettings,
            application_name="shop",
            environment={"DB_HOST": "db", "SPRING_CLOUD_CONFIG_URI": "config-server:8888"},
        )
