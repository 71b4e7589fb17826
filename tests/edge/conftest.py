"""One edge for all tests; each asks for paths of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import enable_socket
from rehearsal.deploy.certificates import AUTHORITY_FILE, FOLDER, keep

from tests.edge.bench import Edge, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Containers are reached by sockets."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.enable_socket)
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The edge as the local overlay configures it."""
    enable_socket()
    state = tmp_path_factory.mktemp("state")
    certificate = keep(state)
    with running(tmp_path_factory.mktemp("edge"), certificate, state / FOLDER / AUTHORITY_FILE) as made:
        yield made


@pytest.fixture
def path() -> str:
    """A path that no other test asks for."""
    return f"/api/products/{uuid.uuid4()}"
