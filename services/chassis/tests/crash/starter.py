"""Starts programs of the sample service as forks of one process that has imported everything.

A start then takes milliseconds: of the second that a fresh interpreter needs for the same imports, a campaign
of dozens of crashes would pay each. What dies at a failpoint is a process all the same, with a memory,
connections and threads of its own, none of which exist before the fork.

One line of JSON each way: `{"program", "arguments", "environment", "log"}` is answered by `{"started"}`, the
new process' id; whenever one ends, `{"ended", "status"}` comes by itself. All are killed when the input ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

# Importing these imports all that they use; none does anything at import.
PROGRAMS = ("shop", "ledger", "client")


def main() -> None:
    """Serve until the input ends."""
    folders = [Path(importlib.import_module(name).__file__ or "").parent for name in PROGRAMS]
    gc.freeze()  # what is there now is never collected, so that a fork does not copy its pages
    woken, waking = socket.socketpair()
    woken.setblocking(False)
    waking.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    children: set[int] = set()
    with open(0, "rb", buffering=0) as orders, selectors.DefaultSelector() as ready:
        ready.register(orders, selectors.EVENT_READ)
        ready.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    _report(children)
                elif line := orders.readline():
                    pid = _fork(json.loads(line), folders[0], (woken, waking))
                    children.add(pid)
                    _say({"started": pid})
                else:
                    for pid in children:
                        os.kill(pid, signal.SIGKILL)
                    return


def _report(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        children.discard(pid)
        _say({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _say(message: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _fork(order: dict[str, Any], folder: Path, control: tuple[socket.socket, socket.socket]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in control:
            end.close()
        _redirect(order["log"])
        os.environ.update(order["environment"])
        sys.argv = [order["program"], *order["arguments"]]
        runpy.run_path(str(folder / order["program"]), run_name="__main__")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect(log: str) -> None:
    with open(os.devnull, "rb") as nothing, open(log, "ab") as written:
        os.dup2(nothing.fileno(), 0)
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)


if __name__ == "__main__":
    main()
