"""The image registry beside the cluster: one container on the cluster's network, published on 127.0.0.1.

Its images live in a named volume that outlives the cluster, so that a cluster made anew finds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rehearsal.cluster.assessment import OWNER_LABEL
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import wait_until

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_ANSWER_SECONDS = 30.0
_DATA = "/var/lib/registry"


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """The registry as a container of the Docker engine."""

    client: DockerClient
    image: str

    def ensure(self, spec: ClusterSpec) -> bool:
        """Bring the registry up on the cluster's network; return whether anything had to be done."""
        there = self._container(spec)
        if there is not None and self._as_wanted(there, spec):
            if there.status == "running":
                return self._await(spec, changed=False)
            with _explained(spec):
                there.unpause() if there.status == "paused" else there.start()
            return self._await(spec, changed=True)
        if there is not None:
            there.remove(force=True)
        self._run(spec)
        return self._await(spec, changed=True)

    def remove(self, spec: ClusterSpec, *, data: bool) -> None:
        """Remove the registry, with its images if `data`."""
        from docker.errors import NotFound

        if (there := self._container(spec)) is not None:
            there.remove(force=True)
        if data:
            try:
                self.client.volumes.get(spec.registry_container).remove()
            except NotFound:
                return

    def _container(self, spec: ClusterSpec) -> Container | None:
        from docker.errors import NotFound

        try:
            found = self.client.containers.get(spec.registry_container)
        except NotFound:
            return None
        if found.labels.get(OWNER_LABEL) != spec.name:
            raise EnvironmentNotReadyError(
                "REGISTRY_FOREIGN",
                f"a container {spec.registry_container!r} is there that this project did not make",
                hint="Remove or rename it.",
            )
        return found

    def _as_wanted(self, there: Container, spec: ClusterSpec) -> bool:
        link = (there.attrs["NetworkSettings"]["Networks"] or {}).get(spec.network) or {}
        pinned = (link.get("IPAMConfig") or {}).get("IPv4Address")
        image = self.client.images.get(self.image)
        ports = there.attrs["HostConfig"].get("PortBindings") or {}
        published = {one["HostPort"] for bindings in ports.values() for one in bindings or []}
        return (
            pinned == str(spec.ranges.registry)
            and there.attrs["Image"] == image.id
            and published == {str(spec.registry_port)}
        )

    def _run(self, spec: ClusterSpec) -> None:
        with _explained(spec):
            container = self.client.containers.create(
                self.image,
                name=spec.registry_container,
                labels={OWNER_LABEL: spec.name},
                ports={"5000/tcp": ("127.0.0.1", spec.registry_port)},
                volumes={spec.registry_container: {"bind": _DATA, "mode": "rw"}},
                restart_policy={"Name": "always", "MaximumRetryCount": 0},
                network=spec.network,
                networking_config={
                    spec.network: self.client.api.create_endpoint_config(
                        ipv4_address=str(spec.ranges.registry)
                    )
                },
            )
            container.start()

    def _await(self, spec: ClusterSpec, *, changed: bool) -> bool:
        wait_until(
            f"the registry on {spec.registry_name}",
            lambda: answers(spec.registry_port),
            timeout_seconds=_ANSWER_SECONDS,
            hint=f"`docker logs {spec.registry_container}` says why it does not answer.",
        )
        return changed


@contextmanager
def _explained(spec: ClusterSpec) -> Iterator[None]:
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        raise EnvironmentNotReadyError(
            "REGISTRY_REFUSED",
            f"the registry could not be started: {error.explanation or error}",
            hint=f"Is port {spec.registry_port} taken? `rehearsal doctor` says by whom.",
        ) from error


def answers(port: int) -> bool:
    """Return whether a registry answers on this port of 127.0.0.1."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
