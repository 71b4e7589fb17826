"""Finding a program that the machine already has, in exactly the pinned version.

A program of the same name may be anything (a wrapper, a dispatcher, an older release), so each is asked for
its version, and only the pinned one is taken.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.processes import ProcessFailedError, run

_PROBE_SECONDS = 10.0  # these programs answer in milliseconds


@dataclass(frozen=True, slots=True)
class VersionProbe:
    """How a program is asked for its version, and how its answer is read (None: not understood)."""

    arguments: tuple[str, ...]
    read: Callable[[str], str | None]


def _kind(answer: str) -> str | None:
    found = re.match(r"kind v(\S+) go\S+ ", answer)
    return found[1] if found else None


def _kubectl(answer: str) -> str | None:
    try:
        version = json.loads(answer)["clientVersion"]["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return None
    return version.removeprefix("v") if isinstance(version, str) else None


def _tilt(answer: str) -> str | None:
    found = re.match(r"v(\d+\.\d+\.\d+)(?:, built.*)?\s*$", answer)
    return found[1] if found else None


PROBES: dict[str, VersionProbe] = {
    "kind": VersionProbe(("version",), _kind),
    "kubectl": VersionProbe(("version", "--client", "-o", "json"), _kubectl),
    "tilt": VersionProbe(("version",), _tilt),
}


def find(name: str, version: str, *, search_path: str, exclude: Path) -> Path | None:
    """Return the first program on `search_path` that is exactly `version`; none below `exclude`.

    `exclude` is the project's own cache: what was built is not "present" because it was put on PATH.
    """
    probe = PROBES.get(name)
    if probe is None:
        return None
    for program in _candidates(name, search_path, exclude):
        if _ask(program, probe) == version:
            return program
    return None


def _candidates(name: str, search_path: str, exclude: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in filter(None, search_path.split(os.pathsep)):
        program = Path(folder) / name
        if not (program.is_file() and os.access(program, os.X_OK)):
            continue
        real = program.resolve()
        if real not in seen and not real.is_relative_to(exclude.resolve()):
            seen.add(real)
            yield program


def _ask(program: Path, probe: VersionProbe) -> str | None:
    # Without a kubeconfig, so that nothing is asked over a network.
    env = {**os.environ, "KUBECONFIG": os.devnull, "TILT_DISABLE_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
    try:
        answer = run([str(program), *probe.arguments], timeout_seconds=_PROBE_SECONDS, env=env)
    except ProcessFailedError:
        return None
    return probe.read(answer.output.strip())
