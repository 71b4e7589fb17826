"""A whole gateway process for tests and benchmarks: the product's own start, with discovery from a file.

The file holds one `service host port` a line and is read again when it changes, as a registry would be.
Tokens are real: signed by a key of the parent's making, checked by the chassis against its JWKS.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mambogo_gateway import main
from mambogo_gateway.instances import Instance


class ListedInstances:
    """An InstanceSource on a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = -1
        self._instances: dict[str, list[Instance]] = {}

    def instances(self, service: str) -> Sequence[Instance]:
        """See InstanceSource."""
        mark = self._path.stat().st_mtime_ns
        if mark != self._mark:
            self._mark = mark
            self._instances = {}
            for line in self._path.read_text().splitlines():
                name, host, port = line.split()
                found = Instance(name, host, int(port), f"{host}:{port}")
                self._instances.setdefault(name, []).append(found)
        return self._instances.get(service, ())


if __name__ == "__main__":
    main.main(instances=ListedInstances(Path(sys.argv[1])))
