"""A way from loopback to a service or a pod in the cluster, for as long as it is needed.

Services have addresses inside of the cluster only, and the API server's proxy strips `Authorization`. What
goes this way passes neither edge nor gateway. kubectl leads to one pod; an autoscaler may take that one away
at any time. The way to a service therefore does what the service does: new connections go to a pod that is
ready, and to another one as soon as that one is not.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rehearsal.cluster.relaying import LOOPBACK, relayed
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import beside
from rehearsal.core.waiting import NotYet, wait_until

_READY_SECONDS = 30.0  # kubectl takes a second; a loaded machine takes its time
_CONNECT_SECONDS = 1.0
# A pod that leaves still takes connections for the two seconds of its preStop hook.
_LOOK_SECONDS = 0.5
_PORT = "http"  # as every service and its pods name it
_SLICES = (
    "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
    "?labelSelector=kubernetes.io%2Fservice-name%3D{}&resourceVersion=0"  # from the API server's memory
)


class Slices(Protocol):
    """Reads the API, of which a service's endpoints are asked."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What makes such ways."""

    kubectl: Path
    kubeconfig: Path
    context: str
    namespace: str
    api: Callable[[], Slices]

    @contextmanager
    def to(self, service: str, log: Path) -> Iterator[str]:
        """Yield the address of a service on this machine.

        Raises EnvironmentNotReadyError when there is no way to it.
        """
        with ExitStack() as ways:
            following = _Following(self, service, log, ways)
            following.begin()
            with following.looking(), relayed(lambda: following.port) as port:
                yield f"http://{LOOPBACK}:{port}"

    @contextmanager
    def to_pod(self, pod: str, log: Path) -> Iterator[str]:
        """Yield the address of this very pod on this machine.

        Raises EnvironmentNotReadyError when there is no way to it.
        """
        with self.open(pod, log) as way:
            yield f"http://{LOOPBACK}:{way.port}"

    @contextmanager
    def open(self, pod: str, log: Path) -> Iterator[Way]:
        """Yield the way to this very pod. Raises EnvironmentNotReadyError when there is none."""
        number = _free_port()
        argv = [
            *(str(self.kubectl), f"--kubeconfig={self.kubeconfig}", f"--context={self.context}"),
            *("port-forward", f"--namespace={self.namespace}", f"--address={LOOPBACK}"),
            *(f"pod/{pod}", f"{number}:{_PORT}"),
        ]  # fmt: skip
        with beside(argv, log=log) as ended:

            def open_() -> bool:
                if ended() is not None:
                    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                    raise self.not_reached(pod, said[-1] if said else "kubectl said nothing")
                return _listens(number)

            wait_until(f"the way to {pod}", open_, timeout_seconds=_READY_SECONDS, hint=self._hint)
            yield Way(number, lambda: ended() is None)

    def not_reached(self, name: str, why: str) -> EnvironmentNotReadyError:
        """Return the error of a pod or a service that there is no way to."""
        return EnvironmentNotReadyError(
            "SERVICE_NOT_REACHED", f"there is no way to {name}: {why}", hint=self._hint
        )

    @property
    def _hint(self) -> str:
        return f"`kubectl get pods -n {self.namespace}` shows whether it runs."


@dataclass(frozen=True, slots=True)
class Way:
    """A port of this machine that leads to one pod."""

    port: int
    is_open: Callable[[], bool]


class _Following:
    """Which of a service's pods new connections go to."""

    def __init__(self, forwarding: Forwarding, service: str, log: Path, ways: ExitStack) -> None:
        self._forwarding = forwarding
        self._api = forwarding.api()
        self._service = service
        self._log = log
        # Until the end: a pod that leaves still answers what it was asked.
        self._ways = ways
        self._pod = ""
        self._way = Way(0, lambda: False)
        self._end = threading.Event()

    @property
    def port(self) -> int:
        """Where a new connection goes."""
        return self._way.port

    def begin(self) -> None:
        """Open the first way. Raises EnvironmentNotReadyError when there is none."""
        if not (ready := self._ready()):
            raise self._forwarding.not_reached(self._service, "no pod of it is ready")
        self._open(ready[0])

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Have the way follow the service for the length of the block."""
        thread = threading.Thread(target=self._run, name=f"way to {self._service}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def _run(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            try:
                self._look()
            except EnvironmentNotReadyError:
                # The way stays as it is; who uses it sees whether it still leads anywhere.
                continue

    def _look(self) -> None:
        ready = self._ready()
        is_well = self._pod in ready and self._way.is_open()
        others = [pod for pod in ready if pod != self._pod] or ready
        if others and not is_well:
            self._open(others[0])

    def _open(self, pod: str) -> None:
        way: AbstractContextManager[Way] = self._forwarding.open(pod, self._log)
        self._way, self._pod = self._ways.enter_context(way), pod

    def _ready(self) -> list[str]:
        """Return the pods to which the service sends."""
        found = self._api.get(_SLICES.format(self._forwarding.namespace, self._service)) or {"items": []}
        return sorted(
            one["targetRef"]["name"]
            for slice_ in found["items"]
            for one in slice_["endpoints"] or ()
            if one["conditions"].get("ready") and one.get("targetRef", {}).get("kind") == "Pod"
        )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise NotYet(str(error)) from error
    return True
