"""Runs schemathesis against a service that answers, and says whether the run reached anything.

Which checks run, and that none is left out, is said by the service's own configuration file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
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


@dataclass(slots=True)
class Fuzzer:
    """Runs with one configuration; `environment` is what the file refers to."""

    config: Path
    directory: Path
    environment: Mapping[str, str]
    _links: set[str] = field(default_factory=set)

    def run(self, url: str, seed: int, *arguments: str) -> FuzzRun:
        """Fuzz the service at `url` by its published document."""
        schemathesis = Path(sys.executable).with_name("st")
        reports = self.directory / f"seed-{seed}"
        reports.mkdir()
        ended = subprocess.run(
            [
                *(str(schemathesis), "--config-file", str(self.config), "run", f"{url}/openapi.json"),
                *("--seed", str(seed), "--report", "ndjson", "--report-dir", str(reports), *arguments),
            ],
            cwd=reports,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        for report in reports.glob("*.ndjson"):
            self._links |= {json.loads(f'"{name}"') for name in _LINK.findall(report.read_text())}
        return FuzzRun(ended.returncode, ended.stdout + ended.stderr)

    @property
    def links_used(self) -> int:
        """Links that any run has followed."""
        return len(self._links)
