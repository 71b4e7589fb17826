"""What takes longest begins first, so that no worker is left with it at the end."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the crash campaigns before everything else; the order within each kind stays."""
    items.sort(key=lambda item: item.get_closest_marker("crash") is None)
