"""The console as a consumer of events: progress on standard error, results on standard output.

On a terminal the running steps are a live line; elsewhere there is one line for each change of state. Colour
follows NO_COLOR; CI counts as no terminal. A reader may go, as a terminal that is closed or a `tee` that the
same Ctrl-C has ended: what is said then is in the journal alone, and ends nothing.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

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
from rehearsal.core.showing import visible
from rehearsal.core.verdicts import Ending

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_MARKS = {
    Outcome.DONE: "done",
    Outcome.UNCHANGED: "unchanged",
    Outcome.LEFT_OUT: "left out",
    Outcome.FAILED: "FAILED",
}
_STYLES = {
    Outcome.DONE: "green",
    Outcome.UNCHANGED: "dim",
    Outcome.LEFT_OUT: "yellow",
    Outcome.FAILED: "bold red",
}
_NAME_WIDTH = 18  # the longest step name of the common commands


def is_live() -> bool:
    """Return whether standard error is a terminal that a person watches."""
    return sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def show(text: str) -> None:
    """Write a line on standard output for a person; harmless whatever it holds."""
    import click

    click.echo(visible(text))


def say(text: str) -> None:
    """Write on standard error; harmless whatever the text holds, and when nobody reads it any more."""
    try:
        sys.stderr.write(visible(text))
        sys.stderr.flush()
    except OSError:
        _let_go()


def _let_go() -> None:
    # What its buffer still holds would fail once more when the program ends, and take the exit code with it.
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


class PlainConsole:
    """One line for each change of state."""

    def __call__(self, event: Event) -> None:
        """Print one event, if it is a change of state."""
        if isinstance(event, StepStarted):
            self._line(event.name, "started", event.detail)
        elif isinstance(event, StepFinished):
            self._line(event.name, f"{_MARKS[event.outcome]} in {event.seconds:.1f} s", event.detail)
        elif said := _said(event):
            self._line(said[0], said[1], "")

    def close(self) -> None:
        """Nothing is kept open."""

    def _line(self, name: str, what: str, detail: str) -> None:
        suffix = f": {detail}" if detail else ""
        # What others said begins no line.
        text = visible(f"{what}{suffix}", indent=_NAME_WIDTH + 1)
        say(f"{name:<{_NAME_WIDTH}} {text}\n")


class LiveConsole:
    """A spinner that says what runs now, above it what has ended."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console: Console = Console(stderr=True, highlight=False)
        self._running: dict[str, str] = {}
        self._status: Status | None = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        try:
            self._show(event)
        except OSError:
            _let_go()

    def close(self) -> None:
        """Stop the spinner; what was printed stays."""
        try:
            self._stop()
        except OSError:
            _let_go()

    def _show(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._running[event.name] = event.detail
        elif isinstance(event, StepProgress):
            self._running[event.name] = event.message
        elif isinstance(event, StepFinished):
            self._running.pop(event.name, None)
            self._finished(event)
        elif said := _said(event):
            name, what, style = said
            self._console.print(f"[{style}]{name:<{_NAME_WIDTH}}[/] {_escape(what)}")
        self._refresh()

    def _stop(self) -> None:
        status, self._status = self._status, None
        if status:
            status.stop()

    def _finished(self, event: StepFinished) -> None:
        style, mark = _STYLES[event.outcome], _MARKS[event.outcome]
        detail = f"  [dim]{_escape(event.detail)}[/]" if event.detail else ""
        self._console.print(f"[{style}]{event.name:<{_NAME_WIDTH}} {mark}[/] {event.seconds:6.1f} s{detail}")

    def _refresh(self) -> None:
        if not self._running:
            self._stop()
            return
        name, what = next(reversed(self._running.items()))
        text = f"{name}: {_escape(what)}" if what else name
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)


def _said(event: Event) -> tuple[str, str, str] | None:
    """Return an event that is no step as name, text and style; None for what only reports show."""
    if isinstance(event, Notice):
        return event.level, event.message, "yellow" if event.level is Level.WARNING else "cyan"
    if isinstance(event, StageStarted):
        return f"== {event.stage}", event.summary, "bold"
    if isinstance(event, StageFinished):
        took = "" if event.ending is Ending.NOT_RUN else f" in {event.seconds:.1f} s"
        reason = f": {event.reason}" if event.reason else ""
        return f"== {event.stage}", f"{event.ending}{took}{reason}", _style(event.ending)
    if isinstance(event, CheckFinished):
        check = event.check
        style = _style(Ending(check.verdict.value))
        return check.id, f"{check.verdict} {check.subject}: {check.sentence}", style
    return None


def _style(ending: Ending) -> str:
    if ending is Ending.PASS:
        return "green"
    return "dim" if ending is Ending.NOT_RUN else "bold red"


def make_console() -> PlainConsole | LiveConsole:
    """Return the console that fits standard error."""
    return LiveConsole() if is_live() else PlainConsole()


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(visible(text, indent=_NAME_WIDTH + 1))
