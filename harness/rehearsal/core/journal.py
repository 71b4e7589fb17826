"""The journal: every event of a run, one JSON object a line, on disk before anybody reads it.

Writing is append-only and each line is flushed, so that a killed run leaves all that it said. Secrets are
taken out of a line before it is written: what is on disk may be shared at once. Reading tolerates a last line
that was cut off, and nothing else. The writer holds a lock on the file: by it readers know whether it lives.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rehearsal.core.errors import HarnessError
from rehearsal.core.events import Event, as_record
from rehearsal.core.redaction import redact


class Journal:
    """An append-only NDJSON file of events; a context manager."""

    def __init__(self, path: Path, redaction: Callable[[str], str] = redact) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._redaction = redaction
        # A file name that is not UTF-8 may stand in a message: it is kept as JSON's own escapes.
        self._file = path.open("a", encoding="utf-8", errors="backslashreplace")
        # It keeps nobody out, and the kernel releases it when the writer dies. A file system may have none.
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __call__(self, event: Event) -> None:
        """Append one event with its time of arrival (UTC, ISO 8601)."""
        record = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **as_record(event)}
        self._file.write(self._redaction(json.dumps(record, ensure_ascii=False)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; events after this are an error of the caller."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> Iterator[dict[str, object]]:
    """Yield a journal's records.

    Raises HarnessError for a broken line, except for a last line without its line end: that is what a
    killed writer leaves.
    """
    # By bytes: a killed writer may have cut a line inside of a character.
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _parsed(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return
                raise HarnessError(
                    "JOURNAL_BROKEN",
                    f"{path} line {number} is not a record: {error}",
                    hint="The file was changed by something else; start a new run.",
                ) from error


def is_written(path: Path) -> bool:
    """Return whether somebody is still writing a journal."""
    try:
        with path.open("rb") as file:
            # Shared: whoever asks at the same time must not be taken for the writer.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _parsed(line: bytes) -> dict[str, object]:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")
    return record
