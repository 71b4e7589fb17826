"""The doctor's rows on a console."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from rehearsal.cli.doctor_view import render_doctor
from rehearsal.stages.doctor import Row, Status
from rich.console import Console

FREE = Row("port.http", "Port 8080 (http)", Status.OK, "free")
NETEM = Row("kernel.netem", "Kernel: netem", Status.LIMIT, "absent", "No delay.", excludes=("kernel.netem",))
TAKEN = Row("port.http", "Port 8080 (http)", Status.BLOCKER, "in use", "It is published.", "`kill 42`")


def _shown(*rows: Row, width: int = 100, colour: bool = False) -> str:
    out = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    render_doctor(rows, Console(file=out, width=width, force_terminal=colour, color_system=system))
    return out.getvalue()


def test_columns_summary_and_next_command_are_printed() -> None:
    assert _shown(FREE, NETEM, TAKEN).splitlines() == [
        "OK        Port 8080 (http)              free",
        "LIMIT     Kernel: netem                 absent",
        "          No delay.",
        "BLOCKER   Port 8080 (http)              in use",
        "          It is published.",
        "          cure  `kill 42`",
        "",
        "1 OK, 1 LIMIT, 1 BLOCKER",
        "Not possible on this machine: kernel.netem",
        "Next: cure port.http, then `rehearsal doctor` again.",
    ]


def test_next_command_is_up_when_nothing_blocks() -> None:
    assert _shown(FREE, NETEM).endswith("Next: `rehearsal up`\n")


def test_long_text_is_wrapped_below_itself() -> None:
    row = Row("x", "X", Status.OK, "word " * 12)
    lines = _shown(row, width=70).splitlines()
    assert (lines[0].index("word"), lines[1].index("word")) == (40, 40)


def test_markup_in_a_summary_is_shown_as_it_is() -> None:
    assert "[red]x[/red]" in _shown(Row("x", "X", Status.OK, "[red]x[/red]"))


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in _shown(FREE, colour=True)


def test_status_is_coloured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mOK" in _shown(FREE, colour=True)
