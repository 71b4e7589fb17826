"""Adapter: runs the generator, and reads what it left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rehearsal.core import processes
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError
from rehearsal.load.journeys.plan import JourneyPlan, dumps
from rehearsal.load.journeys.records import Journeys, read

RECORDS = "journeys.ndjson"
HISTORY = "history.jsonl"
LOG = "generator.log"
_NO_LOGIN = 3

Send = Callable[[JourneyPlan, Path], Journeys]


def send(plan: JourneyPlan, folder: Path) -> Journeys:
    """Send everybody who is due, see them off, and return what they saw.

    A generator that fails or has to be ended leaves no last record. Raises EnvironmentNotReadyError when
    nobody can log in.
    """
    files = (str(folder / RECORDS), str(folder / HISTORY))
    argv = [sys.executable, "-m", "rehearsal.load.journeys.generator", *files]
    try:
        done = processes.run(
            argv, timeout_seconds=plan.limit_seconds, log=folder / LOG, stdin=dumps(plan), check=False
        )
    except ProcessFailedError as error:
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{error.message}\n")
    else:
        if done.returncode == _NO_LOGIN:
            raise EnvironmentNotReadyError(
                "TOKEN_REFUSED",
                done.output.strip(),
                hint="`rehearsal up --ci` deploys the identity provider and its realm; its log says why.",
            )
    return read(folder / RECORDS)
