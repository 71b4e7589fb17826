"""The paths that production's manifests name, over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mambogo_chassis.service import Service
from support.running import Running, Settings, make_service, running


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running(settings=Settings(version="1.2.3", git_sha="abc1234")) as made:
        yield made


@pytest.mark.parametrize("path", ["", "/liveness", "/readiness"])
async def test_a_sound_service_is_up(service: Running, path: str) -> None:
    response = await service.client.get(f"/actuator/health{path}")
    assert (response.status_code, response.json()["status"]) == (200, "UP")


async def test_info_names_version_and_commit(service: Running) -> None:
    info = (await service.client.get("/actuator/info")).json()
    assert info["build"] == {"name": "test-service", "version": "1.2.3"}
    assert info["git"] == {"commit": {"id": "abc1234"}}


async def test_metrics_are_what_prometheus_reads(service: Running) -> None:
    response = await service.client.get("/actuator/prometheus")
    names = {family.name for family in text_string_to_metric_families(response.text)}
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert {
        "http_requests",
        "http_request_duration_seconds",
        "event_loop_lag_seconds",
        "process_resident_memory_bytes",
        "settings_stale",
    } <= names


async def test_head_is_answered_without_a_body(service: Running) -> None:
    response = await service.client.head("/actuator/health")
    assert (response.status_code, response.content) == (200, b"")


async def test_other_methods_and_paths_are_problems(service: Running) -> None:
    wrong_method = await service.client.post("/actuator/health")
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "GET, HEAD")
    wrong_path = await service.client.get("/actuator/env")
    assert wrong_path.status_code == 404
    assert wrong_path.headers["content-type"] == "application/problem+json"


async def test_a_dead_task_makes_liveness_503() -> None:
    made: Service[Settings] = make_service()

    async def dies() -> None:
        raise RuntimeError("broke")

    made.task("relay", dies)
    async with running(service=made) as service:
        response = await service.client.get("/actuator/health/liveness")
        assert (response.status_code, response.json()["details"]) == (
            503,
            {"deadTasks": {"relay": "RuntimeError"}},
        )


async def test_a_dependency_that_is_gone_shows_in_health_and_not_in_liveness() -> None:
    made: Service[Settings] = make_service()

    async def gone() -> Mapping[str, object] | None:
        raise ConnectionError

    made.health.add("database", gone)
    async with running(service=made) as service:
        paths = ("/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness")
        statuses = [(await service.client.get(path)).status_code for path in paths]
    assert statuses == [503, 200, 200]


async def test_a_hundred_probes_at_once(service: Running) -> None:
    answers = await asyncio.gather(*(service.client.get("/actuator/health") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
