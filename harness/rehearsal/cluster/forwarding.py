"""A way from loopback to a service or a pod in the cluster, for as long as it is needed.

Services have addresses inside of the cluster only, and the API server's proxy strips `Authorization`. What
goes this way passes neither edge nor gateway, and reaches one pod of the service.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import beside
from rehearsal.core.waiting import NotYet, wait_until

_READY_SECONDS = 30.0  # kubectl takes a second; a loaded machine takes its time
_CONNECT_SECONDS = 1.0
_PORT = "http"  # as every service and its pods name it


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What makes such ways."""

    kubectl: Path
    kubeconfig: Path
    context: str
    namespace: str

    def to(self, service: str, log: Path) -> AbstractContextManager[str]:
        """Yield the address of a service on this machine.

        Raises EnvironmentNotReadyError when there is no way to it.
        """
        return self._to("service", service, log)

    def to_pod(self, pod: str, log: Path) -> AbstractContextManager[str]:
        """Yield the address of this very pod on this machine.

        Raises EnvironmentNotReadyError when there is no way to it.
        """
        return self._to("pod", pod, log)

    @contextmanager
    def _to(self, kind: str, name: str, log: Path) -> Iterator[str]:
        number = _free_port()
        argv = [
            *(str(self.kubectl), f"--kubeconfig={self.kubeconfig}", f"--context={self.context}"),
            *("port-forward", f"--namespace={self.namespace}", "--address=127.0.0.1"),
            *(f"{kind}/{name}", f"{number}:{_PORT}"),
        ]  # fmt: skip
        with beside(argv, log=log) as ended:

            def open_() -> bool:
                if ended() is not None:
                    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                    raise EnvironmentNotReadyError(
                        "SERVICE_NOT_REACHED",
                        f"there is no way to {name}: {said[-1] if said else 'kubectl said nothing'}",
                        hint=f"`kubectl get pods -n {self.namespace}` shows whether it runs.",
                    )
                return _listens(number)

            wait_until(
                f"the way to {name}",
                open_,
                timeout_seconds=_READY_SECONDS,
                hint=f"`kubectl get pods -n {self.namespace}` shows whether it runs.",
            )
            yield f"http://127.0.0.1:{number}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise NotYet(str(error)) from error
    return True
