"""Fixtures for tests on the project's own cluster, which `nox -s up -- --ci` brought up."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pytest_socket import enable_socket
from rehearsal.cluster import record
from rehearsal.cluster.engine import connect
from rehearsal.cluster.record import Record
from rehearsal.core import catalogue, paths
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths

from tests.live.bench import Bench
from tests.live.prometheus import Prometheus

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A cluster is reached by sockets; the suite's block does not hold here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.enable_socket)


@pytest.fixture(scope="session")
def folders() -> Paths:
    """The project's folders on this machine."""
    return paths.for_checkout(ROOT)


@pytest.fixture(scope="session")
def settings() -> Catalogue:
    """The committed catalogue."""
    return catalogue.load(ROOT)


@pytest.fixture(scope="session")
def made(folders: Paths) -> Record:
    """The record of the cluster; without a cluster these tests fail, they are not skipped."""
    found = record.load(folders.state)
    assert found is not None, "there is no cluster: nox -s up -- --ci"
    return found


@pytest.fixture(scope="session")
def bench(folders: Paths, made: Record) -> Iterator[Bench]:
    """A namespace of this run's own, with an image in the cluster's registry."""
    enable_socket()
    client = connect()
    image = client.images.get("rehearsal/debian:bookworm")
    repository = f"{made.spec.registry_name}/rehearsal-tests/debian"
    image.tag(repository, "1")
    pushed = client.images.push(repository, "1", stream=True, decode=True)
    errors = [line["error"] for line in pushed if "error" in line]
    assert not errors, errors
    place = Bench(
        folders.kubeconfig, made.spec.context, f"rehearsal-tests-{uuid.uuid4().hex[:6]}", f"{repository}:1"
    )
    place.open()
    with contextlib.closing(place):
        yield place


@pytest.fixture
def prometheus(settings: Catalogue) -> Iterator[Prometheus]:
    """The cluster's Prometheus."""
    base = f"http://127.0.0.1:{settings.ports.prometheus}"
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
        yield Prometheus(client)
