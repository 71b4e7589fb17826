"""Fixtures of the long shows: they make, harm and remove the one cluster of this machine.

`nox -s show` runs them. With `-- --restart-engine` the Docker engine is restarted, too, if the project
started it itself; every container of this machine stops for that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_socket import enable_socket
from rehearsal.core import catalogue, paths
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths

from tests.show.program import CHECKOUT, Ended, rehearsal


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the engine be restarted only when it is said."""
    parser.addoption("--restart-engine", action="store_true", help="restart the Docker engine, if it is ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A cluster is reached by sockets, and takes its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.enable_socket)
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def folders() -> Paths:
    """The project's folders on this machine."""
    return paths.for_checkout(CHECKOUT)


@pytest.fixture(scope="session")
def settings() -> Catalogue:
    """The committed catalogue."""
    return catalogue.load(CHECKOUT)


@pytest.fixture(scope="module")
def up() -> Callable[..., Ended]:
    """Return what brings a cluster of a profile up, in place of one of another profile."""
    enable_socket()

    def bring(profile: str) -> Ended:
        done = rehearsal("cluster", "up", "--profile", profile)
        if "CLUSTER_OTHER_PROFILE" in done.said:
            rehearsal("cluster", "down").well()
            done = rehearsal("cluster", "up", "--profile", profile)
        return done.well()

    return bring
