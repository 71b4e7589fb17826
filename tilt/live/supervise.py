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
import ctypes
import errno
import gc
import importlib
import os
import runpy
import select
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_SETTLE_SECONDS = 0.04  # between two looks at a change: one look at 300 files costs a millisecond
# Between looks where the kernel has no watch left to give. With one, an idle pod looks at nothing: 25 looks a
# second were 18 m of processor in each pod, for which every HPA asked for more of them.
_POLL_SECONDS = 0.25
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
            continue  # replaced while it was read: the next look sees the result
    return tuple(sorted(found))


class Watch:
    """Waits until something below a folder may have changed, or a signal has come.

    By inotify; without it (its instances and watches are bounded for each user) by looking now and then.
    """

    # linux/inotify.h: modified, attributes, written and closed, moved from and to, made, deleted, itself too.
    _EVENTS = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._inotify: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._woken, wake = os.pipe()
        for one in (self._woken, wake):
            os.set_blocking(one, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        # A signal without a handler of Python's wakes nobody.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.renew()

    def renew(self) -> None:
        """Watch folders that are new; before the look at the files, so that none is missed between."""
        if self._inotify < 0:
            return
        for folder, below, _ in os.walk(self._folder):
            below[:] = [name for name in below if name != _IGNORED_FOLDER]
            if self._libc.inotify_add_watch(self._inotify, os.fsencode(folder), self._EVENTS) < 0:
                why = ctypes.get_errno()
                if why == errno.ENOENT:
                    continue  # replaced meanwhile: whoever did it changed the folder above
                self.give_up(os.strerror(why))
                return

    def give_up(self, why: str) -> None:
        """Look now and then from here on."""
        _say(f"no watch on files ({why}): looking each {_POLL_SECONDS:g} s")
        os.close(self._inotify)
        self._inotify = -1

    def wait(self) -> None:
        """Return when something may have happened."""
        is_watched = self._inotify >= 0
        files = [self._woken, self._inotify] if is_watched else [self._woken]
        ready, _, _ = select.select(files, [], [], None if is_watched else _POLL_SECONDS)
        for file in ready:
            os.read(file, 1 << 16)

    def leave(self) -> None:
        """Give signals back, in a process that has other uses for them."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@dataclass(slots=True)
class Supervisor:
    """Keeps one process of the program running from the newest source."""

    module: str
    image_source: Path
    live_source: Path
    _watch: Watch = field(init=False)
    _child: int | None = None
    _stopping: bool = field(default=False)

    def ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: end the program, then this process."""
        self._stopping = True

    def run(self) -> int:
        """Start the program, and start it anew after each change of its source."""
        self._watch = Watch(self.live_source)
        running = signature(self.live_source)
        self._start()
        while not self._stopping:
            self._watch.wait()
            self._reap()
            now = self._settled(running)
            if now != running and not self._stopping:
                begun = time.monotonic()
                self._stop()
                running = now
                self._start()
                _say(f"restarted on a change, {(time.monotonic() - begun) * 1000:.0f} ms")
        self._stop()
        return 0

    def _settled(self, running: Signature) -> Signature:
        """The state of the source; of a changed one after two equal looks: no file is half written."""
        self._watch.renew()
        now = signature(self.live_source)
        seen = running
        while now not in (running, seen) and not self._stopping:
            time.sleep(_SETTLE_SECONDS)
            self._watch.renew()
            seen, now = now, signature(self.live_source)
        return now

    def _start(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            self._become_program()
        self._child = child

    def _become_program(self) -> None:
        """Run the program in the forked process, as `python -m` would; it does not come back."""
        self._watch.leave()
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
