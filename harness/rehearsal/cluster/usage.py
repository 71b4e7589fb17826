"""CPU time of containers in nanoseconds, from the counters of their nodes' kernels.

What metrics-server and cAdvisor say is of the last ten seconds, and a process' own counter has ticks of 10
ms; the kernel's is exact and at once. It is read in the node by one program per node, which costs the
container nothing: what ran in the pod would be counted with it. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from rehearsal.core.errors import EnvironmentNotReadyError

_V1 = "cpuacct.usage"  # nanoseconds
_V2 = "cpu.stat"  # usage_usec and more; also of version 1's other controller, without it
_PLACE = "/sys/fs/cgroup"
_GONE = "gone"
# Groups vanish under a search, which is then told apart by what it found.
_FIND = f'find {_PLACE} -path "*$0*" "(" -name {_V1} -o -name {_V2} ")" 2>/dev/null; true'
READ = ("sh", "-c", f'while read -r file; do head -n 1 "$file" 2>/dev/null || echo {_GONE}; done')

Ask = Callable[[str], str]  # a line, and the line that answers it


class Reader(Protocol):
    """What is asked of Kubernetes."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""


class Nodes(Protocol):
    """What is asked of the engine."""

    def execute(self, container: str, argv: list[str]) -> str:
        """Run a program in a node and return its output."""

    def converse(self, container: str, argv: tuple[str, ...]) -> AbstractContextManager[Ask]:
        """Have a program run in a node that answers each line by a line."""


class CounterGoneError(Exception):
    """A container has ended, and its counter with it."""


@dataclass(frozen=True, slots=True)
class PodOnNode:
    """A pod that is ready, where it runs and as what."""

    name: str
    node: str
    container_id: str
    began: str  # RFC 3339


def ready_pods(reader: Reader, namespace: str, app: str) -> tuple[PodOnNode, ...]:
    """Return an app's ready pods, the oldest first: the last that an autoscaler would take away."""
    path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(f'app={app}')}"
    items = (reader.get(path) or {}).get("items", ())
    return tuple(
        sorted((_pod(one) for one in items if _is_ready(one)), key=lambda pod: (pod.began, pod.name))
    )


@dataclass(slots=True)
class Counters:
    """Counters of containers, as long as `reading` lasts."""

    nodes: Nodes
    _stack: ExitStack = field(default_factory=ExitStack)
    _asks: dict[str, Ask] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)

    def nanoseconds(self, pods: Iterable[PodOnNode]) -> int:
        """Return what the pods have used together since they began.

        Raises CounterGoneError when one of them has ended.
        """
        return sum(self._one(pod) for pod in pods)

    def _one(self, pod: PodOnNode) -> int:
        if pod.node not in self._asks:
            self._asks[pod.node] = self._stack.enter_context(self.nodes.converse(pod.node, READ))
        if pod.container_id not in self._files:
            found = self.nodes.execute(pod.node, ["sh", "-c", _FIND, pod.container_id])
            self._files[pod.container_id] = counter_file(found.split(), pod)
        said = self._asks[pod.node](self._files[pod.container_id])
        if said == _GONE:
            raise CounterGoneError(f"{pod.name} has ended")
        return parse(said)


@contextmanager
def reading(nodes: Nodes) -> Iterator[Counters]:
    """Yield what reads counters; the programs in the nodes end with the block."""
    with ExitStack() as stack:
        yield Counters(nodes, stack)


def counter_file(found: Iterable[str], pod: PodOnNode) -> str:
    """Return the file of a container's counter among those of its name, those of groups in it included.

    Raises CounterGoneError when there is none: the container ended meanwhile.
    """
    for name in (_V1, _V2):
        files = sorted((one for one in found if one.endswith(f"/{name}")), key=len)
        if files:
            return files[0]
    raise CounterGoneError(f"{pod.name} has no counter on {pod.node}")


def parse(line: str) -> int:
    """Return nanoseconds from a counter's first line. Raises EnvironmentNotReadyError for anything else."""
    name, _, value = line.strip().rpartition(" ")
    if value.isdecimal() and name in ("", "usage_usec"):
        return int(value) * (1000 if name else 1)
    raise EnvironmentNotReadyError(
        "COUNTER_UNREADABLE",
        f"the kernel's counter of CPU time says {line!r}",
        hint=f"{_PLACE} of the node shows what it has; versions 1 and 2 are known.",
    )


def _is_ready(item: Mapping[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in item["metadata"]


def _pod(item: Mapping[str, Any]) -> PodOnNode:
    return PodOnNode(
        item["metadata"]["name"],
        item["spec"]["nodeName"],
        item["status"]["containerStatuses"][0]["containerID"].rpartition("//")[2],
        item["status"]["startTime"],
    )
