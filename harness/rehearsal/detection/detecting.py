"""What looks at a copy, as a person would: by the project's commands, read from what they write for programs.

A detector knows nothing of what was planted. It runs the copy's own code.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rehearsal.core.errors import HarnessError
from rehearsal.core.processes import Completed, run
from rehearsal.core.verdicts import ExitCode
from rehearsal.detection.model import Cost, Named, Seen

_INSPECT_SECONDS = 300.0  # takes two or three
_LOOKED = (ExitCode.PASS, ExitCode.FAIL, ExitCode.INVALID)


class Detector(Protocol):
    """Looks at a copy."""

    @property
    def cost(self) -> Cost:
        """What it takes."""

    def look(self, root: Path) -> Seen:
        """Look at the copy in `root`. Raises RehearsalError when that is not possible."""

    def put_back(self) -> None:
        """Undo what looking has changed outside of the copy."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """`rehearsal inspect`: the committed contracts and the manifests."""

    cost: Cost = Cost.DOCUMENT

    def look(self, root: Path) -> Seen:
        """Inspect the copy."""
        ended = rehearsal(root, "inspect", "--json", timeout_seconds=_INSPECT_SECONDS)
        if ended.returncode not in _LOOKED:
            return Seen(ended.returncode, said=_last_line(ended.output))
        return seen_of(ended.returncode, _json(ended.output)["checks"])

    def put_back(self) -> None:
        """Nothing was changed."""


def rehearsal(root: Path, *arguments: str, timeout_seconds: float, log: Path | None = None) -> Completed:
    """Run a copy's own `rehearsal` in it."""
    environment = {**os.environ, "PYTHONPATH": str(root / "harness")}
    return run(
        [sys.executable, "-m", "rehearsal", *arguments],
        timeout_seconds=timeout_seconds,
        env=environment,
        cwd=root,
        log=log,
        check=False,
    )


def seen_of(exit_code: int, checks: list[dict[str, Any]]) -> Seen:
    """Return what checks say, as `inspect --json` and `report.json` have them."""
    failed = [one for one in checks if one["verdict"] == "FAIL"]
    invalid = [one for one in checks if one["verdict"] == "INVALID"]
    return Seen(
        exit_code,
        tuple(Named(one["id"], one["subject"]) for one in failed),
        tuple(Named(one["id"], one["subject"]) for one in invalid),
        next((str(one["sentence"]) for one in (*failed, *invalid)), ""),
    )


def _json(output: str) -> dict[str, Any]:
    """Return the object that a command printed among what it said on standard error."""
    lines = output.splitlines()
    try:
        begin, end = lines.index("{"), lines.index("}")
        found: dict[str, Any] = json.loads("\n".join(lines[begin : end + 1]))
    except ValueError as error:
        raise HarnessError(
            "DETECTION_UNREADABLE",
            f"the command printed no JSON: {_last_line(output)}",
            hint="Run the same command by hand in a clone.",
        ) from error
    return found


def _last_line(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "nothing was said")
