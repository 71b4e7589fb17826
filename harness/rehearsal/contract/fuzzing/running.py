"""Runs schemathesis against a service that answers, as a program: what hangs or breaks ends with it.

Which checks run, and that none is left out, is said by the configuration that lies beside each service. It
takes the users from `${USERS}` and `${USER}`: a run knows all of them and is one's, and `hooks` tries what it
does as the others. What a run has shown is read from its reports, never from what it prints.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from rehearsal.core.processes import ProcessFailedError, beside
from rehearsal.core.temporary import temporary_folder

SUMMARY = "summary.json"  # what the run says of itself
EVENTS = "events.ndjson"  # each request with its answer and checks
LOG = "output.txt"
_LOOK_SECONDS = 0.1
# Where Hypothesis keeps what it computes of Unicode. The rest of that folder, what has failed before, is no
# run's to know: a seed alone says what is sent.
_TABLES = Path(".hypothesis", "unicode_data")
_REQUEST_SECONDS = 20  # longer than the gateway's longest deadline

# Such tables, by their place: seconds of work for whoever builds them, and the same for each.
_built: dict[Path, bytes] = {}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token. `forbidden` names operations (`POST /api/orders`) that must never succeed."""

    name: str  # as the configuration calls them
    token: str = field(repr=False)
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fuzz:
    """One run: what is fuzzed, by which document and configuration, and as whom."""

    document: str  # a file or an address
    url: str
    config: Path
    users: Sequence[User]
    user: User  # whose run it is
    seed: int
    limit_seconds: float  # what takes longer hangs
    scenarios: int  # from one operation to another, over links; each costs several requests
    arguments: Sequence[str] = ()  # of schemathesis, besides
    environment: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # what the configuration refers to
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)  # ids of what exists, by parameter


async def fuzz(one: Fuzz, folder: Path) -> str:
    """Make the run; its reports are in `folder` then. Return why it did not come to its end, or nothing."""
    folder = _made(folder)
    # Tokens stay out of the run's folder, which people hand on.
    with temporary_folder() as private:
        config = _config(one, private)
        _lend_tables(private)
        environment = {**os.environ, **one.environment, **_environment(one, private)}
        try:
            with beside(_argv(one, config, folder), log=folder / LOG, env=environment, cwd=private) as ended:
                code = await _end(ended, one.limit_seconds)
        except ProcessFailedError as error:
            return error.message.splitlines()[0]
        _keep_tables(private)
    if code is None:
        return f"it was ended after {one.limit_seconds:.0f} s without coming to its end"
    # 0 and 1 are its verdicts; anything else is no run.
    return "" if code in (0, 1) else f"schemathesis ended with {code}; {folder.name}/{LOG} says why"


def _lend_tables(private: Path) -> None:
    for name, content in _built.items():
        (private / name).parent.mkdir(parents=True, exist_ok=True)
        (private / name).write_bytes(content)


def _keep_tables(private: Path) -> None:
    # Each is there as a whole or not at all: Hypothesis renames it when it is complete.
    for file in (private / _TABLES).glob("*/*.json.gz"):
        _built.setdefault(file.relative_to(private), file.read_bytes())


async def _end(ended: Callable[[], int | None], limit_seconds: float) -> int | None:
    until = monotonic() + limit_seconds
    while True:
        code = ended()
        if code is not None or monotonic() > until:
            return code
        await asyncio.sleep(_LOOK_SECONDS)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()  # the program works elsewhere


def _argv(one: Fuzz, config: Path, folder: Path) -> list[str]:
    return [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(config)),
        *("run", one.document, "--url", one.url, "--seed", str(one.seed), "--no-color"),
        # One worker: with more, a seed does not say what is sent, and CPython 3.11 breaks parsing in threads.
        *("--workers", "1", "--request-timeout", str(_REQUEST_SECONDS)),
        *("--report-json-path", str(folder / SUMMARY), "--report-ndjson-path", str(folder / EVENTS)),
        *one.arguments,
    ]  # fmt: skip


def _config(one: Fuzz, private: Path) -> Path:
    """Write the configuration with how many scenarios there are: no option says that of this phase alone."""
    config = private / one.config.name
    text = one.config.read_text(encoding="utf-8")
    config.write_text(
        f"{text}\n[phases.stateful.generation]\nmax-examples = {one.scenarios}\n", encoding="utf-8"
    )
    return config


def _environment(one: Fuzz, private: Path) -> dict[str, str]:
    """All users as schemathesis reads them (Web Fuzzing Commons), who is this run's, and what exists."""
    users = private / "users.json"
    entries = [
        {"name": user.name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {user.token}"}]}
        for user in one.users
    ]
    users.touch(mode=0o600)
    users.write_text(json.dumps({"auth": entries}), encoding="utf-8")
    return {
        "USERS": str(users),
        "USER": one.user.name,
        "FORBIDDEN": ",".join(one.user.forbidden),
        "KNOWN": json.dumps({name: list(values) for name, values in one.known.items()}),
        # A service's own hooks lie beside its configuration.
        "PYTHONPATH": str(one.config.resolve().parent),
    }
