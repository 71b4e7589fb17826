"""Which route a path gets, and which configurations are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_gateway.config import GatewayConfig, parse_config
from mambogo_gateway.errors import ConfigurationError
from mambogo_gateway.routing import RouteTable


def table(*paths: str) -> RouteTable:
    """A table whose routes are named a, b, c, ... after their paths' order."""
    routes: list[dict[str, Any]] = [
        {"id": chr(ord("a") + index), "path": path, "service": "some-service"}
        for index, path in enumerate(paths)
    ]
    return RouteTable(GatewayConfig.model_validate({"routes": routes}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/api/products", "a"),
        (b"/api/products/", "a"),
        (b"/api/products/1/prices", "a"),
        (b"/api/products/search", "b"),
        (b"/api/products/search/x", "a"),
        (b"/api/products/7/price", "c"),
        (b"/api/productsx", None),
        (b"/api", None),
        (b"//api/products", None),
        (b"/", None),
    ],
)
def test_the_most_specific_pattern_wins(path: bytes, expected: str | None) -> None:
    route = table("/api/products/**", "/api/products/search", "/api/products/*/price").match(path)
    assert (route.id if route else None) == expected


def test_a_star_needs_a_segment() -> None:
    assert table("/a/*").match(b"/a/") is None


def test_the_root_can_take_everything() -> None:
    route = table("/**").match(b"/anything/at/all")
    assert route is not None


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5), st.data())
def test_a_path_of_a_pattern_is_found(segments: list[str], data: st.DataObject) -> None:
    pattern = "/" + "/".join(data.draw(st.sampled_from([segment, "*"])) for segment in segments)
    assert table(pattern).match(("/" + "/".join(segments)).encode()) is not None


@pytest.mark.parametrize("path", ["x", "/a//b", "/**/a", "/a*", "/actuator/x", "", "/a/***"])
def test_a_malformed_pattern_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        table(path)


def test_the_same_pattern_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="route-conflict"):
        table("/a/**", "/a/**")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("routes: []", "routes"),
        ("routes: [{id: a, path: /a, service: s, colour: red}]", r"routes\.0\.colour"),
        ("routes: [{id: A, path: /a, service: s}]", r"routes\.0\.id"),
        ("routes: [{id: a, path: /a, service: s, deadline_seconds: 0}]", r"routes\.0\.deadline_seconds"),
        ("routes: [{id: a, path: /a, service: s}]\nlimits: {trusted_edges: [x]}", r"limits\.trusted_edges"),
        ("routes: [{id: a, path: /a, service: s}, {id: a, path: /b, service: s}]", "used twice"),
        ("routes: [{id: a, path: /a, service: s, methods: [GET], public_methods: [PUT]}]", "public_methods"),
        ("just text", "document"),
        ("a: [", "not YAML"),
    ],
)
def test_a_bad_configuration_is_refused_by_place(text: str, place: str) -> None:
    with pytest.raises(ConfigurationError, match=place):
        parse_config(text, origin="routes.yaml")
