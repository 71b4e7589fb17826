"""Accepted breaks: one that is needed silences its place until its day, all others are findings."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from rehearsal.contract.accepting import read_accepted
from rehearsal.contract.findings import Finding
from rehearsal.core.verdicts import Verdict

TODAY = date(2026, 11, 26)
DOCUMENT = "openapi/order-service.json"
OPERATION, OBSERVED = "GET /api/orders", '"more" by enum ["more"]'
BREAK = Finding(
    OPERATION, "/paths/x/get", "enum", "it may have more", "whoever reads its answers", observed=OBSERVED
)


def _place(pointer: str = "/paths/x/get", rule: str = "enum", observed: str = OBSERVED) -> str:
    what = f'operation = "{OPERATION}", pointer = "{pointer}", rule = "{rule}"'
    return f"{{ {what}, observed = '{observed}' }}"


def _write(root: Path, name: str = "more.toml", **changed: str) -> None:
    settings = {
        "document": f'"{DOCUMENT}"',
        "reason": '"All readers take it."',
        "expires": "2026-11-26",
        "places": f"[{_place()}]",
        **changed,
    }
    folder = root / "contract-tests" / "accepted-breaks"
    folder.mkdir(parents=True, exist_ok=True)
    lines = (f"{key} = {value}\n" for key, value in settings.items())
    (folder / name).write_text("".join(lines), encoding="utf-8")


def _judge(
    root: Path, *, document: str = DOCUMENT, today: date = TODAY
) -> tuple[list[Finding], list[Verdict]]:
    accepted = read_accepted(root, today)
    left = accepted.unaccepted(document, [BREAK])
    return left, [check.verdict for check in accepted.judge()]


def test_break_is_silent_on_the_last_day_of_its_acceptance(tmp_path: Path) -> None:
    _write(tmp_path)
    assert _judge(tmp_path) == ([], [Verdict.PASS])


def test_expired_acceptance_is_found_and_accepts_nothing(tmp_path: Path) -> None:
    _write(tmp_path)
    assert _judge(tmp_path, today=date(2026, 11, 27)) == ([BREAK], [Verdict.FAIL])


@pytest.mark.parametrize(
    "changed",
    [
        {"places": f"[{_place(rule='required')}]"},
        {"places": f"[{_place('/paths/y/get')}]"},
        {"places": f"[{_place().replace('GET', 'PUT')}]"},
        {"places": f"[{_place(observed='less')}]"},
        {"document": '"openapi/cart-service.json"'},
    ],
    ids=["another rule", "another place", "another operation", "another break", "another document"],
)
def test_acceptance_of_something_else_is_found_as_unused(tmp_path: Path, changed: dict[str, str]) -> None:
    _write(tmp_path, **changed)
    assert _judge(tmp_path) == ([BREAK], [Verdict.FAIL])


def test_place_that_is_not_broken_is_found_beside_one_that_is(tmp_path: Path) -> None:
    _write(tmp_path, places=f"[{_place()}, {_place('/gone', observed='none')}]")
    accepted = read_accepted(tmp_path, TODAY)
    accepted.unaccepted(DOCUMENT, [BREAK])

    (check,) = accepted.judge()
    assert check.observed == "GET /api/orders /gone enum: none"
    assert check.source == "contract-tests/accepted-breaks/more.toml"


@pytest.mark.parametrize(
    "changed",
    [
        {"expires": '"soon"'},
        {"reason": '""'},
        {"places": "[]"},
        {"places": '[{ pointer = "/paths/x/get", rule = "enum" }]'},
        {"everything": "true"},
        {"reason": "what"},
    ],
    ids=["no day", "no reason", "no place", "nothing observed", "unknown key", "no TOML"],
)
def test_file_that_cannot_be_read_accepts_nothing_and_is_no_pass(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    _write(tmp_path, **changed)
    assert _judge(tmp_path) == ([BREAK], [Verdict.INVALID])


def test_without_files_nothing_is_accepted(tmp_path: Path) -> None:
    assert _judge(tmp_path) == ([BREAK], [Verdict.PASS])
