"""Which route a path gets, and which configurations are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambogo_gateway.config import GatewayConfig, load_config, parse_config
from mambogo_gateway.errors import ConfigurationError
from mambogo_gateway.routing import Route, RouteTable
from mambogo_gateway.wiring import DEFAULT_ROUTES


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


# The agreement between the shop's services has the table of all operations.
_AGREEMENT = Path(__file__).parents[2] / "README.md"
_OPERATION = re.compile(r"((?:GET|POST|PUT|DELETE)(?: and DELETE)?) (/api/[^ `?]+)")


def operations(needs: str) -> Iterator[tuple[bytes, bytes]]:
    """Method and path of each operation of the agreement whose "needs" matches."""
    for line in _AGREEMENT.read_text().splitlines():
        match line.split("|"):
            case ["", what, condition, ""] if re.search(needs, condition):
                # `GET` and `DELETE /api/x` is written for two operations.
                for methods, path in _OPERATION.findall(what.replace("` and `", " and ")):
                    for method in methods.split(" and "):
                        yield method.encode(), re.sub(r"\{[^}]+\}", "1", path).encode()


def packaged_route(method: bytes, path: bytes) -> Route | None:
    """The packaged route that takes a request."""
    route = RouteTable(load_config(DEFAULT_ROUTES)).match(path)
    return route if route is not None and method in route.methods else None


def test_every_operation_of_the_shop_has_a_packaged_route_to_its_service() -> None:
    found = [*operations(r"^ nothing $|:(read|write)|signature")]
    assert len(found) >= 20
    services = {"products": "product", "categories": "product", "carts": "cart", "orders": "order"}
    for method, path in found:
        thing = path.split(b"/")[2].decode()
        route = packaged_route(method, path)
        assert route is not None, (method, path)
        assert route.service == services.get(thing, thing.removesuffix("s")) + "-service"


def test_what_is_for_inside_only_has_no_packaged_route() -> None:
    assert (b"GET", b"/api/quotes") in [*operations("inside the cluster only")]
    assert all(packaged_route(*operation) is None for operation in operations("inside the cluster only"))


def test_only_what_needs_no_token_is_public_in_the_packaged_routes() -> None:
    for needs, public in ((r"^ nothing $|signature", True), (":(read|write)", False)):
        for method, path in operations(needs):
            route = packaged_route(method, path)
            assert route is not None
            assert (method in route.public_methods) is public, (method, path)
