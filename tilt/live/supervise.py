"""Restarts a Python program when its source changes, in a fraction of a second; PID 1 of a live pod.

The dependencies are imported once, in this process; each start of the program is a fork of it that only
has to import the program's own modules. What runs is always what is on disk: the old process has ended before
the new one starts, and a program that does not start stays down until the next change, with its traceback in
the log.

It serves `tilt up` alone and is mounted into the pod, never built into an image: Python 3.11's standard
library is all it needs. It leaves copying files into the pod to Tilt, and health to the pod's probes.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_POLL_SECONDS = 0.04  # a change waits for two polls; a poll of 100 files costs a third of a millisecond
_STOP_SECONDS = 2.0  # a developer waits for it; a program that drains longer is killed
_IGNORED_FOLDER = "__pycache__"

Signature = tuple[tuple[str, int, int, int], ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code is 0 then."""
    options = _parse(argv)
    seed(options.image_source, options.live_source)
    preload(options.preload, forbidden=(options.image_source, options.live_source))
    supervisor = Supervisor(options.module, options.image_source, options.live_source)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.ask_to_stop)
    return supervisor.run()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-source", type=Path, required=True, help="the source that the image holds")
    parser.add_argument("--live-source", type=Path, required=True, help="where Tilt copies changed files to")
    parser.add_argument(
        "--preload", action="append", default=[], help="a module to import once; may be repeated"
    )
    parser.add_argument("module", help="the program, as in `python -m`")
    return parser.parse_args(argv)


def seed(image: Path, live: Path) -> None:
    """Copy what the image holds, except files that are there already: Tilt may have been faster."""
    for path in sorted(image.rglob("*")):
        target = live / path.relative_to(image)
        if path.is_dir():
            if path.name != _IGNORED_FOLDER:
                target.mkdir(parents=True, exist_ok=True)
        elif target.parent.name != _IGNORED_FOLDER and not target.exists():
            # Complete at once under its name: a container that is killed here leaves no half file behind.
            part = target.with_name(f".{target.name}.part")
            shutil.copyfile(path, part)
            part.rename(target)


def preload(modules: Sequence[str], *, forbidden: Sequence[Path]) -> None:
    """Import dependencies once. Raises ValueError for a module of the program itself."""
    for name in modules:
        origin = getattr(importlib.import_module(name), "__file__", None) or ""
        if any(Path(origin).is_relative_to(folder) for folder in forbidden):
            raise ValueError(f"--preload {name}: it belongs to the program, and would stay as it is now")
    gc.collect()
    gc.freeze()  # children's collectors leave these objects alone: their pages stay shared


def signature(folder: Path) -> Signature:
    """Return what tells two states of a folder apart: name, inode, size and time of change of each file."""
    found = []
    pending = [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != _IGNORED_FOLDER:
                            pending.append(entry.path)
                    elif not entry.name.endswith(".part"):
                        stat = entry.stat(follow_symlinks=False)
                        found.append((entry.path, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except FileNotFoundError:
            continue  # replaced while it was read: the next poll sees the result
    return tuple(sorted(found))


@dataclass(slots=True)
class Supervisor:
    """Keeps one process of the program running from the newest source."""

    module: str
    image_source: Path
    live_source: Path
    _child: int | None = None
    _stopping: bool = field(default=False)

    def ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: end the program, then this process."""
        self._stopping = True

    def run(self) -> int:
        """Start the program, and start it anew after each change of its source."""
        running = signature(self.live_source)
        seen = running
        self._start()
        while not self._stopping:
            time.sleep(_POLL_SECONDS)
            self._reap()
            now = signature(self.live_source)
            # Two equal looks in a row: a file that is being written is not started.
            if now != running and now == seen:
                begun = time.monotonic()
                self._stop()
                running = now
                self._start()
                _say(f"restarted on a change, {(time.monotonic() - begun) * 1000:.0f} ms")
            seen = now
        self._stop()
        return 0

    def _start(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            self._become_program()
        self._child = child

    def _become_program(self) -> None:
        """Run the program in the forked process, as `python -m` would; it does not come back."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # Python's own handler turns SIGINT into KeyboardInterrupt, as the program expects.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.path[:] = [str(self.live_source), *(one for one in sys.path if one != str(self.image_source))]
        sys.argv = [self.module]
        importlib.invalidate_caches()
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)
        raise SystemExit(0)

    def _reap(self) -> None:
        """Collect ended processes; PID 1 inherits the program's orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child:
                self._child = None
                code = os.waitstatus_to_exitcode(status)
                _say(f"{self.module} ended with {code}; it starts again after the next change")

    def _stop(self) -> None:
        if self._child is None:
            return
        child, self._child = self._child, None
        os.kill(child, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() >= deadline:
                _say(f"{self.module} did not stop within {_STOP_SECONDS:.0f} s and is killed")
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return
            time.sleep(0.005)


def _say(message: str) -> None:
    sys.stderr.write(f"live: {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
