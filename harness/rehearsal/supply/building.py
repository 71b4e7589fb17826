"""What a recipe works with while it builds: folders, a log, other supplies, and a way to run programs.

A failed program becomes an error that names the step, its last lines and the cure; which programs to run is
the recipes' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Step
from rehearsal.core.processes import Completed, ProcessFailedError, run

_PROGRESS_INTERVAL_SECONDS = 1.0  # a build prints thousands of lines; a reader takes one a second
_SHOWN_CHARACTERS = 100
_SHOWN_LINES = 12

_CURES: tuple[tuple[str, str, str], ...] = (
    # What a build says when it fails for a reason that lies outside of it: pattern, code, cure.
    (
        r"no space left on device|disk quota exceeded",
        "DISK_FULL",
        "The disk is full: free some space (`rehearsal supply prune`), then run the same command again.",
    ),
    (
        r'C compiler "[^"]*" not found|exec: "(gcc|cc)": executable file not found|cc: not found',
        "COMPILER_MISSING",
        "A C compiler is missing: `apt-get install gcc libc6-dev` (Debian, Ubuntu).",
    ),
    (
        r"checksum mismatch|do not match the hashes|hash mismatch|SECURITY ERROR|YN0018",
        "CHECKSUM_MISMATCH",
        "A package is not the one that was pinned. If a proxy or a mirror is configured, check it; "
        "never ignore this.",
    ),
    (
        r"\b40[134]\s+(Forbidden|Unauthorized|Not Found)|(HTTP|status|error:?|code) (code )?40[134]\b|"
        r"E40[134]\b|YN0035|reading .*: 40[134]",
        "REGISTRY_REFUSED",
        "The package registry refused. Check the registry's address, access rights and mirrors in the "
        "configuration of pip, npm, apt or Go (GOPROXY).",
    ),
    (
        r"\b5\d\d\b (Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time)|E5\d\d\b|"
        r"reading .*: 5\d\d",
        "REGISTRY_BROKEN",
        "The package registry answered with an error of its own; run the same command again later.",
    ),
    (
        r"temporary failure (in name )?resol|network is unreachable|no route to host|connection refused|"
        r"connection timed out|i/o timeout|no such host|ENOTFOUND|ETIMEDOUT|ECONNREFUSED|EAI_AGAIN|dial tcp|"
        r"Could not (resolve|connect)|Failed to establish a new connection|NetworkError|"
        r"error sending request",
        "NETWORK_UNREACHABLE",
        "A package registry cannot be reached: check the network and the proxy settings "
        "(HTTPS_PROXY, NO_PROXY), then run the same command again; what was done is kept.",
    ),
    (
        # pip says so too when it could not connect, so this comes after the network.
        r"No matching distribution",
        "REGISTRY_REFUSED",
        "The configured Python package registry does not have the pinned version for this machine.",
    ),
)


def diagnose(output: str) -> tuple[str, str] | None:
    """Return the code and the cure for what a failed program said, or None if it says nothing known."""
    for pattern, code, cure in _CURES:
        if re.search(pattern, output, re.IGNORECASE):
            return code, cure
    return None


@dataclass(slots=True)
class Progress:
    """Turns a build's lines into a step's progress: how many so far, and the latest one."""

    step: Step
    unit: str = ""
    clock: Callable[[], float] = monotonic
    counts: Callable[[str], bool] = lambda line: bool(line)
    _count: int = 0
    _last: float = field(default=float("-inf"))

    def __call__(self, line: str) -> None:
        """Take one line of output."""
        text = line.strip()
        if not text:
            return
        self._count += self.counts(text)
        now = self.clock()
        if now - self._last >= _PROGRESS_INTERVAL_SECONDS:
            self._last = now
            prefix = f"{self._count} {self.unit}: " if self.unit else ""
            self.step.progress(f"{prefix}{text[:_SHOWN_CHARACTERS]}")


@dataclass(frozen=True, slots=True)
class BuildContext:
    """Everything that a recipe may use."""

    name: str
    target: Path  # an empty folder; what lies in it afterwards is the supply
    scratch: Path  # an empty folder on the same disk; removed afterwards
    log: Path
    step: Step
    supply: Callable[[str], Path]  # folder of another file supply, built if need be and verified

    def run(
        self,
        what: str,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        unit: str = "",
        counts: Callable[[str], bool] = lambda line: bool(line),
    ) -> Completed:
        """Run a program of the build; `what` names the step in errors, `unit` what its lines count.

        Raises EnvironmentNotReadyError with the last lines and, where it is known, the cure.
        """
        self.step.progress(what)
        progress = Progress(self.step, unit=unit, counts=counts)
        try:
            return run(
                argv, timeout_seconds=timeout_seconds, log=self.log, env=env, cwd=cwd, on_line=progress
            )
        except ProcessFailedError as error:
            raise failed(self.name, what, error, self.log) from error


def failed(name: str, what: str, error: ProcessFailedError, log: Path) -> EnvironmentNotReadyError:
    """Return the error that a failed program of a build becomes."""
    known = diagnose(error.tail)
    code, cure = known or ("SUPPLY_BUILD_FAILED", "Its last lines say why.")
    tail = "\n".join(error.tail.splitlines()[-_SHOWN_LINES:])
    ended = error.message.splitlines()[0]
    return EnvironmentNotReadyError(
        code,
        f"building {name} failed at: {what}\n{ended}\n{tail}".rstrip(),
        hint=f"{cure} The whole log: {log}",
    )
