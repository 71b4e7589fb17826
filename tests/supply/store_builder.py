"""A builder in a process of its own, for the tests that kill it or run two at once.

Arguments: folder, and a mode. Each build is noted as a line in `builds`; in mode `block` it then waits to be
killed, in mode `meet` until the other builder has said for whom it waits.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from rehearsal.core.events import Event, Notice
from rehearsal.core.waiting import wait_until
from rehearsal.supply.store import Store, Wanted


def main(folder: Path, mode: str) -> None:
    """Build one entry."""

    def emit(event: Event) -> None:
        if isinstance(event, Notice):
            with (folder / "notices").open("a") as file:
                file.write(event.message + "\n")

    def build(target: Path, scratch: Path) -> Mapping[str, str]:
        (target / "half").write_text("half")
        (scratch / "rubbish").write_text("rubbish")
        with (folder / "builds").open("a") as file:
            file.write(f"{mode}\n")
        if mode == "block":
            threading.Event().wait()
        if mode == "meet":
            wait_until(
                "the other one waits", (folder / "notices").exists, timeout_seconds=60, hint="see stderr"
            )
        (target / "whole").write_text("whole")
        return {}

    store = Store(folder / "supplies", locks=folder / "locks", emit=emit)
    entry = store.ensure(Wanted("thing", "1", {"a": 1}), build)
    sys.stdout.write(str(entry.folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
