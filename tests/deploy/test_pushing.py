"""The registry by the engine: what is there, what is not, and one that does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.deploy.pushing import EngineRegistry
from requests import ReadTimeout, Response

REGISTRY = "registry.example.org/shop"
REFERENCE = "rehearsal/kafka:abc"


class Images:
    """An engine's images, and what it hears of a registry."""

    def __init__(self, status: int = 200, said: tuple[dict[str, str], ...] = ()) -> None:
        self.status, self.said = status, said
        self.asked: list[str] = []
        self.tagged: list[tuple[str, str]] = []

    def get_registry_data(self, reference: str) -> object:
        self.asked.append(reference)
        if self.status != 200:
            response = Response()
            response.status_code = self.status
            raise APIError("no", response=response)
        return object()

    def get(self, reference: str) -> Any:
        if reference != REFERENCE:
            raise ImageNotFound("no such image")
        return SimpleNamespace(tag=lambda *target: self.tagged.append(target))

    def push(self, *target: str, **options: object) -> tuple[dict[str, str], ...]:
        return self.said


def _registry(images: Images) -> EngineRegistry:
    client: Any = SimpleNamespace(images=images)
    return EngineRegistry(client, REGISTRY)


@pytest.mark.parametrize(("status", "there"), [(200, True), (404, False), (403, False), (401, False)])
def test_image_is_looked_for_where_the_nodes_will(status: int, *, there: bool) -> None:
    images = Images(status)

    assert _registry(images).has(REFERENCE) is there
    assert images.asked == [f"{REGISTRY}/{REFERENCE}"]


def test_registry_that_does_not_answer_is_named() -> None:
    with pytest.raises(EnvironmentNotReadyError, match=f"the registry {REGISTRY} cannot be used"):
        _registry(Images(500)).has(REFERENCE)


@pytest.mark.parametrize("ask", ["has", "push"])
def test_engine_that_goes_away_is_an_unusable_registry(monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    def cut(*arguments: object) -> None:
        raise ReadTimeout("read timed out")

    monkeypatch.setattr(Images, "get", cut)
    monkeypatch.setattr(Images, "get_registry_data", cut)

    with pytest.raises(EnvironmentNotReadyError, match="read timed out") as caught:
        getattr(_registry(Images()), ask)(REFERENCE)

    assert caught.value.code == "REGISTRY_UNUSABLE"


def test_image_is_pushed_under_the_name_that_nodes_know() -> None:
    images = Images(said=({"status": "Pushed"},))

    _registry(images).push(REFERENCE)

    assert images.tagged == [(f"{REGISTRY}/rehearsal/kafka", "abc")]


def test_push_that_is_refused_says_why_and_that_a_login_may_be_missing() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="denied: no such login") as caught:
        _registry(Images(said=({"error": "denied: no such login"},))).push(REFERENCE)

    assert "docker login" in caught.value.hint


def test_image_that_the_engine_does_not_have_is_no_success() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="no such image"):
        _registry(Images()).push("rehearsal/nothing:1")
