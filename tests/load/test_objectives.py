"""The percentile by which everything is measured."""

from __future__ import annotations

import pytest
from rehearsal.load.objectives import percentile


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (1.0, 100), (0.0, 1)])
def test_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value
