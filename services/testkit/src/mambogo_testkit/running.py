"""What runs: a description that crosses process boundaries, and a handle that breaks and mends it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import docker
import docker.errors
from docker.models.containers import Container

from mambogo_testkit.errors import TestkitError
from mambogo_testkit.waiting import wait_until

HOST = "127.0.0.1"
_STOP_SECONDS = 20  # the slowest, Keycloak, takes two
_FREEZE_SECONDS = 60.0
_FREEZER_GAVE_UP = "unable to freeze"  # runc's words


@dataclass(frozen=True, slots=True)
class Running:
    """One dependency that runs. The first container is the dependency itself, the others serve it.

    `details` holds what its module needs to reach it again: credentials above all, so it is never printed.
    """

    kind: str
    containers: tuple[str, ...]
    ports: dict[str, int]
    details: dict[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> str:
        """Serialise for the way between the processes of one run."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Running:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        return cls(raw["kind"], tuple(raw["containers"]), raw["ports"], raw["details"])


class Server:
    """A dependency as tests hold it: where it answers, and the switches to take it away.

    Address and data stay the same over stop and start. The switches are for a dependency of the
    test's own (the `own_*` fixtures): a shared one is used by other tests at the same time.
    """

    def __init__(self, running: Running, client: docker.DockerClient, *, shared: bool) -> None:
        self.running = running
        self._client = client
        self._shared = shared

    # What messages call it, and how long a start may take on a loaded machine.
    title: ClassVar[str]
    ready_timeout_seconds: ClassVar[float]

    def missing(self) -> str | None:
        """Ask the dependency in its own protocol: None when it answers, else what came instead."""
        raise NotImplementedError

    def wait_ready(self) -> None:
        """Return when it answers; raises TestkitError `not-ready`, or `exited` at once when it ended."""
        wait_until(self.title, self._missing_or_ended, self.ready_timeout_seconds)

    def _missing_or_ended(self) -> str | None:
        missing = self.missing()
        if missing is not None and (container := self._container()).status in ("exited", "dead"):
            raise TestkitError(
                "exited",
                f"{self.title} ended: {container.attrs['State']}",
                "its own log, below, has the reason",
            )
        return missing

    def stop(self) -> None:
        """Stop it as an orderly shutdown does (its stop signal, then wait): connections are refused."""
        self._breakable().stop(timeout=_STOP_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash or the out-of-memory killer does."""
        self._breakable().kill()

    def start(self) -> None:
        """Start it again at the same address with the same data, and wait until it answers."""
        self._breakable().start()
        self.wait_ready()

    def pause(self) -> None:
        """Freeze it: connections are accepted by the kernel, and nothing ever answers."""
        container = self._breakable()
        wait_until(f"{self.title} to be frozen", lambda: _frozen_or_why(container), _FREEZE_SECONDS)

    def unpause(self) -> None:
        """Thaw it."""
        self._breakable().unpause()

    def mend(self) -> None:
        """Whatever was done to it, have it run and answer again."""
        status = self._breakable().status
        if status == "paused":
            self.unpause()
        if status in ("running", "paused"):
            self.wait_ready()
        else:
            self.start()

    def logs(self) -> str:
        """Return all that it has printed."""
        return self._container().logs().decode(errors="replace")

    def _container(self) -> Container:
        return self._client.containers.get(self.running.containers[0])

    def _breakable(self) -> Container:
        if self._shared:
            raise TestkitError(
                "shared",
                f"this {self.running.kind} is shared by all tests of the run",
                f"use the fixture own_{self.running.kind}, which belongs to one test",
            )
        return self._container()


def _frozen_or_why(container: Container) -> str | None:
    try:
        container.pause()
    except docker.errors.APIError as error:
        # cgroup v1's freezer gives up on processes that are just being made.
        if _FREEZER_GAVE_UP not in str(error):
            raise
        return str(error)
    return None
