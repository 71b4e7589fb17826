"""Runs schemathesis against a service that answers, and says whether the run reached anything.

Which checks run, and that none is left out, is said by the service's own configuration file. It takes the
users from `${USERS}` and `${USER}`: every run knows all of them and is one's, and `fuzz_hooks` tries what it
does as the others.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# A run takes 20 to 40 s; this bounds a hang, also on a machine that is busy with other things.
RUN_SECONDS = 900
_LINK = re.compile(r'"transition":\s*\{"id":\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class FuzzRun:
    """One run: how it ended, what it printed, and how many links it knew."""

    code: int
    output: str

    @property
    def failed(self) -> bool:
        """Whether anything was found, or the run itself could not be made."""
        return self.code != 0

    @property
    def summary(self) -> str:
        """The end of what it printed."""
        return self.output[-6000:]

    @property
    def links_inferred(self) -> int:
        """Links between operations that could be followed."""
        found = re.search(r"covered / (\d+) selected / (\d+) total", self.output)
        return int(found[2]) if found is not None else 0


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token. `forbidden` names operations (`POST /api/orders`) that must never succeed."""

    name: str
    token: str = field(repr=False)
    forbidden: tuple[str, ...] = ()

    @property
    def authorization(self) -> str:
        """The header's value."""
        return f"Bearer {self.token}"


@dataclass(slots=True)
class Fuzzer:
    """Runs with one configuration; `environment` is what the file refers to besides the users."""

    config: Path
    directory: Path
    users: Sequence[User]
    environment: Mapping[str, str] = field(default_factory=dict)
    _links: set[str] = field(default_factory=set)

    def run_all(self, url: str, seeds: Sequence[int]) -> list[FuzzRun]:
        """Fuzz as each user with each seed; a run that found something is the last one."""
        runs: list[FuzzRun] = []
        for user, seed in itertools.product(self.users, seeds):
            runs.append(self.run(url, seed, user))
            if runs[-1].failed:
                break  # the others would find the same again, and take minutes
        return runs

    def run(self, url: str, seed: int, user: User, *arguments: str) -> FuzzRun:
        """Fuzz the service at `url` by its published document, as `user`."""
        schemathesis = Path(sys.executable).with_name("st")
        reports = self.directory / f"{user.name}-{seed}"
        reports.mkdir()
        if user.forbidden:
            # That an operation was never reached is here what is wanted.
            arguments = ("--warnings", "off", *arguments)
        ended = subprocess.run(
            [
                *(str(schemathesis), "--config-file", str(self.config), "run", f"{url}/openapi.json"),
                *("--seed", str(seed), "--report", "ndjson", "--report-dir", str(reports), *arguments),
            ],
            cwd=reports,
            env={**os.environ, **self.environment, **self._as(user, reports)},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        for report in reports.glob("*.ndjson"):
            self._links |= {json.loads(f'"{name}"') for name in _LINK.findall(report.read_text())}
        return FuzzRun(ended.returncode, ended.stdout + ended.stderr)

    def _as(self, user: User, reports: Path) -> dict[str, str]:
        """All users, as schemathesis reads them (Web Fuzzing Commons), and who is this run's."""
        users = reports / "users.json"
        entries = [
            {"name": one.name, "fixedHeaders": [{"name": "Authorization", "value": one.authorization}]}
            for one in self.users
        ]
        users.write_text(json.dumps({"auth": entries}))
        return {"USERS": str(users), "USER": user.name, "FORBIDDEN": ",".join(user.forbidden)}

    @property
    def links_used(self) -> int:
        """Links that any run has followed."""
        return len(self._links)
