"""Edit to live: from the moment an editor saves one line until every replica answers with it.

A client polls the echo service's NodePort with a new connection each time, as a developer's browser would,
until each pod has answered with the new version text. Measured for four ways in which editors save, in turn,
so that each meets the same machine. Uses the `tilt up` that runs, or else brings cluster and Tilt up itself:

    python bench/edit_to_live.py

The table goes into docs/benchmarks/ground.md. A run in which a pod was replaced is refused: Tilt then rebuilt
the image instead of updating the pods, and the number would be that of something else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ground import tables
from ground.measuring import ROOT, machine, rehearsal, until

_SOURCE = ROOT / "services/echo/src/mambogo_echo/version.py"
_POLL_SECONDS = 0.01  # the resolution of the result
_LIMIT_SECONDS = 60.0  # far above a rebuild: a slow edit is a result, not an error
_SETTLE_SECONDS = (
    1.5  # between edits: readiness is probed each second, and Tilt must have seen the last one end
)
_TARGET_SECONDS = 1.3


@dataclass(frozen=True, slots=True)
class Answer:
    """What one replica said."""

    pod: str
    version: str


def ask(port: int) -> Answer | None:
    """Return one replica's answer over a new connection; None while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        told = json.loads(connection.getresponse().read())
        return Answer(told["pod"], told["version"])
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def replicas(port: int, wanted: int) -> set[str]:
    """Return the names of the pods that answer, when there are `wanted`; else an empty set."""
    found: set[str] = set()
    for _ in range(wanted * 40):  # with fair balancing, the chance to miss one of two is 2^-80
        answer = ask(port)
        if answer is None:
            return set()
        found.add(answer.pod)
    return found if len(found) == wanted else set()


@contextmanager
def live_service(port: int, wanted: int) -> Iterator[set[str]]:
    """Give the pods of the running service; Tilt is started for it, and ended again, where none runs."""
    if found := replicas(port, wanted):
        yield found
        return
    rehearsal("cluster", "up")
    command = [sys.executable, "-m", "rehearsal", "up", "echo"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as tilt:
        try:
            until("the echo service", lambda: bool(replicas(port, wanted)))
            yield replicas(port, wanted)
        finally:
            tilt.send_signal(signal.SIGINT)


def in_place(path: Path, text: str) -> None:
    """Save as nano does: the same file, truncated and written."""
    path.write_text(text, encoding="utf-8")


def by_backup(path: Path, text: str) -> None:
    """Save as vim does by default: probe the folder by a file 4913, move the old file away, write anew."""
    probe, backup = path.with_name("4913"), path.with_name(f"{path.name}~")
    probe.touch()
    probe.unlink()
    path.rename(backup)
    path.write_text(text, encoding="utf-8")
    backup.unlink()


def by_rename(path: Path, text: str) -> None:
    """Save as JetBrains and atomic writers do: a temporary file beside it, renamed over it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".swp")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part = Path(name)
    part.chmod(path.stat().st_mode)
    part.rename(path)


def by_sed(path: Path, text: str) -> None:
    """Save as `sed -i` does: its own temporary name, and a rename."""
    line = next(one for one in text.splitlines() if one.startswith("VERSION"))
    subprocess.run(["sed", "-i", f"s|^VERSION = .*|{line}|", str(path)], check=True)  # noqa: S607 - any sed will do


EDITORS: dict[str, Callable[[Path, str], None]] = {
    "written in place": in_place,
    "backup, written anew": by_backup,
    "temporary file, renamed": by_rename,
    "sed -i": by_sed,
}


def measure(save: Callable[[Path, str], None], text: str, version: str, port: int, pods: set[str]) -> float:
    """Save an edit and return the seconds until every pod has answered with it."""
    missing = set(pods)
    started = time.monotonic()
    save(_SOURCE, text)
    while missing:
        if time.monotonic() - started > _LIMIT_SECONDS:
            raise SystemExit(f"not live within {_LIMIT_SECONDS:.0f} s on {', '.join(sorted(missing))}")
        answer = ask(port)
        if answer is not None and answer.version == version:
            if answer.pod not in pods:
                raise SystemExit(f"{answer.pod} is new: Tilt rebuilt the image instead of updating the pods")
            missing.discard(answer.pod)
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - started


@contextmanager
def restored(path: Path) -> Iterator[str]:
    """Give the file's text, and write it back in the end."""
    text = path.read_text(encoding="utf-8")
    try:
        yield text
    finally:
        path.write_text(text, encoding="utf-8")


def edited(original: str, version: str) -> str:
    """Return the source with another version text; one line differs."""
    lines = original.splitlines(keepends=True)
    return "".join(f'VERSION = "{version}"\n' if line.startswith("VERSION") else line for line in lines)


def main() -> None:
    """Measure all editors and print the table."""
    parser = argparse.ArgumentParser(description="Measures edit to live under `tilt up`.")
    parser.add_argument("--edits", type=int, default=8, help="edits for each way of saving")
    parser.add_argument("--replicas", type=int, default=2)
    options = parser.parse_args()
    port = tomllib.loads((ROOT / "rehearsal.toml").read_text(encoding="utf-8"))["ports"]["echo"]
    about = machine()
    results: dict[str, list[float]] = {name: [] for name in EDITORS}
    with restored(_SOURCE) as original, live_service(port, options.replicas) as pods:
        for number in range(options.edits):
            for at, (name, save) in enumerate(EDITORS.items()):
                time.sleep(_SETTLE_SECONDS)
                version = f"{os.getpid()}-{number}-{at}"
                results[name].append(measure(save, edited(original, version), version, port, pods))
    text = f"{about}; {options.replicas} replicas.\n\n{table(results)}"
    tables.refresh(ROOT / "docs/benchmarks/ground.md", "edit to live", text)


def table(results: dict[str, list[float]]) -> str:
    """Return medians and extremes as Markdown."""
    rows = []
    for name, seconds in results.items():
        within = sum(one <= _TARGET_SECONDS for one in seconds)
        times = [f"{one:.2f} s" for one in (statistics.median(seconds), min(seconds), max(seconds))]
        rows.append([name, str(len(seconds)), *times, f"{within} of {len(seconds)}"])
    header = ("editor", "edits", "median", "fastest", "slowest", f"within {_TARGET_SECONDS} s")
    return tables.markdown(header, rows)


if __name__ == "__main__":
    main()
