"""Edit to live: from the moment an editor saves one line until every replica answers with it.

A client polls the echo service's NodePort with a new connection each time, as a developer's browser would,
until each pod has answered with the new version text. Measured for four ways in which editors save.
`tilt up` must be running and the service ready:

    eval "$(rehearsal env)" && tilt up        # in one terminal
    python bench/edit_to_live.py              # in another

A run in which a pod was replaced is refused: Tilt then rebuilt the image instead of updating the pods, and
the number would be that of something else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_SOURCE = _ROOT / "services/echo/src/mambogo_echo/version.py"
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
    """Return the names of the pods that answer; raises SystemExit when there are not `wanted`."""
    found: set[str] = set()
    for _ in range(wanted * 40):  # with fair balancing, the chance to miss one of two is 2^-80
        if (answer := ask(port)) is not None:
            found.add(answer.pod)
    if len(found) != wanted:
        raise SystemExit(
            f"{len(found)} replicas answer on 127.0.0.1:{port}, not {wanted}: is `tilt up` green?"
        )
    return found


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
    port = tomllib.loads((_ROOT / "rehearsal.toml").read_text(encoding="utf-8"))["ports"]["echo"]
    pods = replicas(port, options.replicas)
    results: dict[str, list[float]] = {}
    with restored(_SOURCE) as original:
        for name, save in EDITORS.items():
            results[name] = []
            for number in range(options.edits):
                time.sleep(_SETTLE_SECONDS)
                version = f"{os.getpid()}-{len(results)}-{number}"
                results[name].append(measure(save, edited(original, version), version, port, pods))
    print_table(results, options.replicas)


def print_table(results: dict[str, list[float]], count: int) -> None:
    """Print medians and extremes as Markdown."""
    load = os.getloadavg()[0]
    print(f"Edit to live, {count} replicas; load average {load:.1f} on {os.cpu_count()} cores\n")
    print("| editor | edits | median | fastest | slowest | within 1.3 s |\n|---|---|---|---|---|---|")
    for name, seconds in results.items():
        within = sum(one <= _TARGET_SECONDS for one in seconds)
        print(
            f"| {name} | {len(seconds)} | {statistics.median(seconds):.2f} s | {min(seconds):.2f} s "
            f"| {max(seconds):.2f} s | {within} of {len(seconds)} |"
        )


if __name__ == "__main__":
    main()
