"""Keeps one set of dependencies over several runs of tests: `python -m mambogo_testkit.keeping`.

It prints the path of its socket, and removes everything when its input ends, as it does when the process
that started it dies. Runs whose environment holds that path in `MAMBOGO_TESTKIT_FLEET` take their
dependencies from it instead of starting their own; what nobody asks for is not started here either. What a
test had for itself is removed at the end of its run.
"""

from __future__ import annotations

import sys

from mambogo_testkit.broker import FleetServer
from mambogo_testkit.fleet import Fleet

VARIABLE = "MAMBOGO_TESTKIT_FLEET"


def main() -> None:
    """Serve until the input ends."""
    fleet = Fleet()
    server = FleetServer(fleet)
    sys.stdout.write(server.path + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.close()
    fleet.close()


if __name__ == "__main__":
    main()
