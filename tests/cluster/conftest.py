"""Fixtures of the cluster layer's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.ground import Ground


@pytest.fixture
def new_ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Ground]:
    """Return a maker of grounds that have nothing in common."""
    count = 0

    def make() -> Ground:
        nonlocal count
        count += 1
        ground = Ground(tmp_path / f"ground{count}")
        monkeypatch.setenv("KUBECONFIG", str(ground.users_file))
        return ground

    return make


@pytest.fixture
def ground(new_ground: Callable[[], Ground]) -> Ground:
    """Return a machine on which the project has never been."""
    return new_ground()
