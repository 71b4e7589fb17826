"""From configured paths to a trie on raw path segments, so that a look-up copies little and decodes
nothing.

The most specific pattern wins, segment by segment: literal before `*` before `**`. `/a/**` matches `/a`
too, as Spring's does. Two routes with the same pattern are a configuration error. Reloading makes a new
table; requests under way keep the route that they were admitted by.
"""

from __future__ import annotations

from dataclasses import dataclass

from mambogo_gateway.config import GatewayConfig, RouteConfig
from mambogo_gateway.errors import ConfigurationError, Refusal, method_not_allowed


@dataclass(frozen=True, slots=True)
class Route:
    """A route as the data plane uses it; methods are bytes because requests are."""

    id: str
    path: str
    service: str
    methods: frozenset[bytes]
    public_methods: frozenset[bytes]
    deadline_seconds: float
    stall_seconds: float
    max_content_bytes: int
    retries: int
    wrong_method: Refusal


class _Node:
    __slots__ = ("any_child", "children", "here", "subtree")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.any_child: _Node | None = None
        self.here: Route | None = None
        self.subtree: Route | None = None


class RouteTable:
    """Finds the route of a path."""

    def __init__(self, config: GatewayConfig) -> None:
        self.routes = tuple(_compile(route) for route in config.routes)
        self._root = _Node()
        for route, source in zip(self.routes, config.routes, strict=True):
            self._insert(route, source.path)

    def _insert(self, route: Route, path: str) -> None:
        segments = path.encode("ascii").split(b"/")[1:]
        node = self._root
        whole_subtree = segments[-1] == b"**"
        for segment in segments[:-1] if whole_subtree else segments:
            if segment == b"*":
                node.any_child = node.any_child or _Node()
                node = node.any_child
            else:
                node = node.children.setdefault(segment, _Node())
        taken = node.subtree if whole_subtree else node.here
        if taken is not None:
            raise ConfigurationError(
                "route-conflict", f"routes {taken.id} and {route.id} have the same path {path}"
            )
        if whole_subtree:
            node.subtree = route
        else:
            node.here = route

    def match(self, path: bytes) -> Route | None:
        """The route of a raw path, or None."""
        return _search(self._root, path.split(b"/"), 1)


def _search(node: _Node, segments: list[bytes], index: int) -> Route | None:
    """The most specific match at or below `node`, with backtracking over `*`."""
    if index == len(segments):
        return node.here or node.subtree
    child = node.children.get(segments[index])
    found = _search(child, segments, index + 1) if child is not None else None
    if found is None and node.any_child is not None and segments[index]:
        found = _search(node.any_child, segments, index + 1)
    return found or node.subtree


def _compile(route: RouteConfig) -> Route:
    return Route(
        id=route.id,
        path=route.path,
        service=route.service,
        methods=frozenset(method.encode() for method in route.methods),
        public_methods=frozenset(method.encode() for method in route.public_methods),
        deadline_seconds=route.deadline_seconds,
        stall_seconds=route.stall_seconds,
        max_content_bytes=route.max_content_bytes,
        retries=route.retries,
        wrong_method=method_not_allowed(frozenset(route.methods)),
    )
