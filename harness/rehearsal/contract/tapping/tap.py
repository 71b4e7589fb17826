"""The tap as a run sees it: begun before the first stage that asks or breaks anything, ended by the last one.

Its process ends with the run, however that ends: it is told to, or killed, and the kernel ends it when the
harness is killed.
"""

from __future__ import annotations

import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from rehearsal.contract.tapping.program import BEGIN_SECONDS, CATCH_UP_SECONDS
from rehearsal.contract.tapping.seen import LOG, SUMMARY, Seen
from rehearsal.core.processes import die_with_parent, end_group

_PROGRAM: Final = "rehearsal.contract.tapping.program"
_SLACK_SECONDS: Final = 30.0  # for a loaded machine, beside what the program itself takes at most
_TAIL_CHARACTERS: Final = 400


@dataclass(frozen=True, slots=True)
class Sight:
    """What a tap saw; `why` says why not all of it, and is empty when it saw its end."""

    seen: Seen | None
    why: str = ""


@dataclass(slots=True)
class Tap:
    """One tap; nothing runs before it is begun."""

    root: Path  # the checkout, with the committed schemas
    bootstrap_servers: str
    folder: Path
    catch_up_seconds: float = CATCH_UP_SECONDS  # for reading to the end, and once more for what was before
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _why: str = field(default="", init=False)

    @property
    def begun(self) -> bool:
        """Whether somebody has begun it."""
        return self._process is not None

    @property
    def listening(self) -> bool:
        """Whether its process is there, and may write into its folder."""
        return self._process is not None and self._process.poll() is None

    def begin(self, *, from_beginning: bool = False) -> None:
        """Begin, where the topics stand now or at all that they still have; only the first time counts.

        Returns when it is known where that is. A tap that cannot begin says so in the end: nobody else's work
        depends on it.
        """
        if self._process is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        flags = [f"--catch-up-seconds={self.catch_up_seconds}", *["--from-beginning"] * from_beginning]
        with (self.folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _PROGRAM, self.root, self.bootstrap_servers, self.folder, *flags],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the run's to answer
                # Async-signal-safe: one prctl call, no Python state is touched.
                preexec_fn=die_with_parent,
            )
        self._why = self._not_ready(self._process)

    def finish(self) -> Sight:
        """Let it read to the end, and return what it saw."""
        process = self._process
        if process is None:
            return Sight(None, "it was not begun")
        if not self._why:
            self._why = self._ended(process)
        self.close()
        try:
            seen = Seen.model_validate_json((self.folder / SUMMARY).read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return Sight(None, self._why or "it left no summary")
        return Sight(seen, self._why or ("" if seen.whole else "it did not come to its end"))

    def close(self) -> None:
        """End its process, whatever it does; harmless when that has ended."""
        if self._process is None:
            return
        if self._process.poll() is None:
            end_group(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _not_ready(self, process: subprocess.Popen[bytes]) -> str:
        if (
            process.stdout is None
            or not select.select([process.stdout], [], [], BEGIN_SECONDS + _SLACK_SECONDS)[0]
        ):
            return "it did not begin in time"
        return "" if process.stdout.readline() == b"ready\n" else f"it could not begin: {self._last_words()}"

    def _ended(self, process: subprocess.Popen[bytes]) -> str:
        try:
            # Reads up to the end, then for once what was there before.
            process.communicate(b"\n", timeout=2 * self.catch_up_seconds + _SLACK_SECONDS)
        except subprocess.TimeoutExpired:
            return "it did not come to an end in time"
        return f"it ended early: {self._last_words()}" if process.returncode else ""

    def _last_words(self) -> str:
        log = (self.folder / LOG).read_text(encoding="utf-8", errors="replace")
        return log.strip()[-_TAIL_CHARACTERS:].rpartition("\n")[2] or "it said nothing"
