"""The consoles: what they print of each event, and where which one is chosen."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable

import pytest
from rehearsal.cli.console import LiveConsole, PlainConsole, is_live, make_console
from rehearsal.core.checks import CheckKind, Severity
from rehearsal.core.events import (
    CheckFinished,
    Event,
    Level,
    Notice,
    Outcome,
    StageFinished,
    StageStarted,
    StepFinished,
    StepProgress,
    StepStarted,
)
from rehearsal.core.verdicts import Ending

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CHECK = CheckKind("load.lost", "No order is lost", Severity.CRITICAL)
LIFE_OF_A_STEP = (
    StepStarted("cluster", "3 nodes"),
    StepProgress("cluster", "node 1"),
    StepFinished("cluster", Outcome.DONE, 12.34, "whole"),
)


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        """Say that somebody is watching."""
        return True


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Return what puts a person's terminal in place, in an environment that says nothing else.

    Called by the test itself: pytest takes standard error back when the test begins.
    """
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def put() -> Terminal:
        made = Terminal()
        monkeypatch.setattr("sys.stderr", made)
        return made

    return put


def _show(console: PlainConsole | LiveConsole, *events: Event) -> None:
    for event in events:
        console(event)
    console.close()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (StepStarted("cluster", "3 nodes"), "cluster            started: 3 nodes"),
        (StepStarted("cluster"), "cluster            started"),
        (StepFinished("cluster", Outcome.DONE, 12.34, "whole"), "cluster            done in 12.3 s: whole"),
        (StepFinished("add-ons", Outcome.UNCHANGED, 0.04), "add-ons            unchanged in 0.0 s"),
        (StepFinished("images", Outcome.FAILED, 3.0), "images             FAILED in 3.0 s"),
        (StepFinished("images", Outcome.LEFT_OUT, 3.0), "images             left out in 3.0 s"),
        (StageStarted("load", "Send orders.", 60.0), "== load            Send orders."),
        (StageFinished("load", Ending.PASS, 3.0), "== load            PASS in 3.0 s"),
        (
            StageFinished("load", Ending.NOT_RUN, 0.0, "not asked for"),
            "== load            NOT RUN: not asked for",
        ),
        (
            CheckFinished("load", CHECK.failed("orders", "2 are lost", expected="0", observed="2")),
            "load.lost          FAIL orders: 2 are lost",
        ),
        (Notice(Level.WARNING, "fell back"), "warning            fell back"),
        (Notice(Level.INFO, "made anew"), "info               made anew"),
    ],
)
def test_each_change_of_state_is_a_line(event: Event, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    _show(PlainConsole(), event)

    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize("make", [PlainConsole, LiveConsole])
def test_what_others_said_is_not_obeyed_by_a_terminal(
    make: type[PlainConsole | LiveConsole], capsys: pytest.CaptureFixture[str]
) -> None:
    said = "\x1b[2J\x9b8m\u202e\nload.lost PASS"
    failed = CHECK.failed("orders", said, expected="0", observed="2")
    _show(
        make(),
        StepStarted("cluster", said),
        StepFinished("cluster", Outcome.DONE, 1.0, said),
        Notice(Level.WARNING, said),
        StageFinished("load", Ending.FAIL, 3.0, said),
        CheckFinished("load", failed),
    )
    printed = COLOUR.sub("", capsys.readouterr().err)

    assert not {"\x9b", "\u202e"} & set(printed)
    assert "\x1b[2J" not in printed
    assert "\nload.lost PASS" not in printed


def test_progress_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    _show(PlainConsole(), StepProgress("cluster", "node 1"))

    assert capsys.readouterr().err == ""


def test_standard_output_is_left_to_results(capsys: pytest.CaptureFixture[str]) -> None:
    _show(PlainConsole(), *LIFE_OF_A_STEP, Notice(Level.WARNING, "fell back"))

    assert capsys.readouterr().out == ""


def test_terminal_gets_the_live_console(watch: Callable[[], Terminal]) -> None:
    watch()

    assert isinstance(make_console(), LiveConsole)


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("CI", "1"), ("TERM", "dumb")])
def test_terminal_that_nobody_watches_gets_the_plain_one(
    watch: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    watch()
    monkeypatch.setenv(name, value)

    assert isinstance(make_console(), PlainConsole)


@pytest.mark.usefixtures("watch")
def test_file_gets_the_plain_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())

    assert not is_live()
    assert isinstance(make_console(), PlainConsole)


def test_terminal_that_was_closed_ends_nothing(
    watch: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hung_up(text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")

    terminal = watch()
    console = LiveConsole()
    console(StepStarted("cluster"))
    monkeypatch.setattr(terminal, "write", hung_up)

    _show(console, StepFinished("cluster", Outcome.DONE, 1.0), Notice(Level.WARNING, "fell back"))


def test_colours_are_shown_on_a_terminal(watch: Callable[[], Terminal]) -> None:
    terminal = watch()
    _show(LiveConsole(), *LIFE_OF_A_STEP)

    assert COLOUR.search(terminal.getvalue())


def test_no_color_takes_the_colours_away(
    watch: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = watch()
    monkeypatch.setenv("NO_COLOR", "1")
    _show(LiveConsole(), StepFinished("images", Outcome.FAILED, 3.0), Notice(Level.WARNING, "fell back"))

    # Bold and dim are no colours; 30 to 49 and their bright twins are.
    codes = {int(code) for found in COLOUR.findall(terminal.getvalue()) for code in re.findall(r"\d+", found)}
    assert not codes & {*range(30, 50), *range(90, 108)}
    assert "images             FAILED" in COLOUR.sub("", terminal.getvalue())


def test_live_console_keeps_what_has_ended(watch: Callable[[], Terminal]) -> None:
    terminal = watch()
    _show(LiveConsole(), *LIFE_OF_A_STEP)

    assert "cluster            done   12.3 s  whole" in COLOUR.sub("", terminal.getvalue())


@pytest.mark.parametrize(
    "event",
    [
        Notice(Level.WARNING, "port [8080] is [/] taken"),
        StepStarted("cluster", "port [8080] is [/] taken"),
        StepProgress("cluster", "port [8080] is [/] taken"),
        StepFinished("cluster", Outcome.FAILED, 1.0, "port [8080] is [/] taken"),
    ],
)
def test_brackets_are_text_and_no_markup(watch: Callable[[], Terminal], event: Event) -> None:
    terminal = watch()
    _show(LiveConsole(), event)

    assert "port [8080] is [/] taken" in COLOUR.sub("", terminal.getvalue())


def test_spinner_ends_with_the_last_step(watch: Callable[[], Terminal]) -> None:
    terminal = watch()
    console = LiveConsole()
    for event in (StepStarted("one"), StepStarted("two"), StepFinished("two", Outcome.DONE, 1.0)):
        console(event)
    hidden_while_one_runs = terminal.getvalue().count("\x1b[?25l") - terminal.getvalue().count("\x1b[?25h")
    console(StepFinished("one", Outcome.DONE, 1.0))

    assert hidden_while_one_runs == 1
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h")


def test_closing_gives_the_cursor_back_while_a_step_still_runs(watch: Callable[[], Terminal]) -> None:
    terminal = watch()
    _show(LiveConsole(), StepStarted("one"))

    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h") == 1
