"""The config server absent, hanging, dripping, garbled, coming back; and the disk that keeps its answers."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from mambogo_chassis.settings import ServiceSettings, load_settings
from mambogo_chassis.settings.config_server import AnswerCache, ConfigServer, ConfigServerError
from support.faults import Behaviour, FaultServer, answer, drip, fault_server, garbage, hang, reset


class ShopSettings(ServiceSettings):
    db_host: str


def spring_answer(host: str, name: str = "shop") -> bytes:
    source = {"name": f"file:{name}.yml", "source": {"db.host": host}}
    return msgspec.json.encode(
        {
            "name": name,
            "profiles": ["production"],
            "label": None,
            "version": "v1",
            "propertySources": [source],
        }
    )


def environment(server: FaultServer) -> dict[str, str]:
    return {"SPRING_CLOUD_CONFIG_URI": server.url, "SPRING_PROFILES_ACTIVE": "production"}


def load(server: FaultServer, cache: Path, wait_seconds: float = 0.1) -> tuple[str, str, tuple[str, ...]]:
    settings, report = load_settings(
        ShopSettings,
        application_name="shop",
        environment=environment(server),
        cache_path=cache,
        wait_seconds=wait_seconds,
    )
    return settings.db_host, report.origin, report.warnings


def test_an_answer_is_asked_for_by_application_and_profile(tmp_path: Path) -> None:
    with fault_server(answer(spring_answer("db"))) as server:
        assert load(server, tmp_path / "cache") == ("db", "config server", ())
        assert server.requests[0].path == "/shop/production"


def test_the_last_good_answer_serves_while_the_server_is_down(tmp_path: Path) -> None:
    with fault_server(answer(spring_answer("db"))) as server:
        load(server, tmp_path / "cache")
        server.stop_listening()
        host, origin, warnings = load(server, tmp_path / "cache")
    assert (host, origin) == ("db", "cache")
    assert "did not answer" in warnings[0]


@pytest.mark.parametrize("behaviour", [hang, drip, garbage, reset, answer(b"<html>"), answer(b"{}", 503)])
def test_a_server_that_misbehaves_is_survived_within_a_bound(tmp_path: Path, behaviour: Behaviour) -> None:
    with fault_server(answer(spring_answer("db"))) as server:
        load(server, tmp_path / "cache")
        server.behaviour = behaviour
        asked = ConfigServer(server.url, "shop", "production", timeout_seconds=0.3)
        with pytest.raises(ConfigServerError):
            asked.fetch()


def test_an_answer_for_another_application_is_refused() -> None:
    with (
        fault_server(answer(spring_answer("db", name="other"))) as server,
        pytest.raises(ConfigServerError, match="answered for other/production"),
    ):
        ConfigServer(server.url, "shop", "production").fetch()


def test_an_oversized_answer_is_refused() -> None:
    with (
        fault_server(answer(b" " * 2_000_000)) as server,
        pytest.raises(ConfigServerError, match="answered 200 with 1048577 bytes"),
    ):
        ConfigServer(server.url, "shop", "production").fetch()


def test_with_neither_server_nor_cache_the_start_is_given_up_with_a_hint(tmp_path: Path) -> None:
    with fault_server() as server:
        server.stop_listening()
        with pytest.raises(ConfigServerError, match=r"no settings within 0\.1 s.*SPRING_CLOUD_CONFIG_URI"):
            load(server, tmp_path / "cache")


def test_a_server_that_comes_back_in_time_is_used(tmp_path: Path) -> None:
    calls = 0

    async def second_time(exchange: object) -> None:
        nonlocal calls
        calls += 1
        await (reset if calls == 1 else answer(spring_answer("late")))(exchange)  # type: ignore[arg-type] # an Exchange

    with fault_server(second_time) as server:
        assert load(server, tmp_path / "cache", wait_seconds=30)[0] == "late"


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"{}", b'{"application": "shop"'])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache").write_bytes(content)
    with pytest.raises(ConfigServerError, match="not usable"):
        AnswerCache(tmp_path / "cache").load(ConfigServer("http://127.0.0.1:1", "shop", "production"))


def test_a_cache_of_another_profile_is_not_used(tmp_path: Path) -> None:
    with fault_server(answer(spring_answer("db"))) as server:
        load(server, tmp_path / "cache")
        with pytest.raises(ConfigServerError, match="is for shop/production"):
            AnswerCache(tmp_path / "cache").load(ConfigServer(server.url, "shop", "staging"))


def test_a_full_disk_is_survived_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_bytes(b"old")

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with fault_server(answer(spring_answer("db"))) as server:
        host, _, warnings = load(server, tmp_path / "cache")
    assert host == "db"
    assert "No space left on device" in warnings[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]  # no temporary file stays behind


def test_a_place_that_cannot_be_written_is_reported() -> None:
    with fault_server(answer(spring_answer("db"))) as server:
        server_settings = ConfigServer(server.url, "shop", "production")
        with pytest.raises(ConfigServerError, match="not written"):
            AnswerCache(Path("/proc/cache")).save(server_settings, server_settings.fetch())


def test_the_cache_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    with fault_server(answer(spring_answer("db"))) as server:
        load(server, tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_bad_push_does_not_replace_the_last_usable_answer(tmp_path: Path) -> None:
    class Strict(ServiceSettings):
        db_host: int

    with fault_server(answer(spring_answer("7"))) as server:

        def start() -> int:
            settings, _ = load_settings(
                Strict,
                application_name="shop",
                environment=environment(server),
                cache_path=tmp_path / "cache",
            )
            return settings.db_host

        assert start() == 7
        server.behaviour = answer(spring_answer("not a number"))
        with pytest.raises(Exception, match="db_host"):
            start()
        server.stop_listening()
        assert start() == 7
