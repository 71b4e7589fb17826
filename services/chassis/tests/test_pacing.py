"""Steps are close together while little comes, and far apart when much does."""

from __future__ import annotations

import time

import pytest

from mambogo_chassis.pacing import left_seconds


@pytest.mark.parametrize(
    ("items", "since", "expected"),
    [
        (0, 0.0, 0.03),
        (1, 0.0, 0.03),
        (1, 0.01, 0.02),
        (1, 0.03, 0.0),
        (1, 9.0, 0.0),
        (4, 0.0, 0.08),
        (4, 0.05, 0.03),
        (500, 0.0, 0.15),
    ],
)
def test_pauses_grow_with_what_was_found(
    monkeypatch: pytest.MonkeyPatch, items: int, since: float, expected: float
) -> None:
    monkeypatch.setattr("mambogo_chassis.pacing.time.monotonic", lambda: 100.0 + since)
    assert left_seconds(100.0, items) == pytest.approx(expected)


def test_a_longer_least_pause_is_the_caller_s() -> None:
    assert left_seconds(time.monotonic() + 1.0, 500, least_seconds=0.4) == pytest.approx(1.4, abs=0.1)
