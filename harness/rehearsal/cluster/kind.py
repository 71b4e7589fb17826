"""Adapter: the `kind` program, which makes node containers and runs kubeadm in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError, run

# The node's container runs, but did not say its awaited line within kind's 30 s.
BOOT_TIMEOUT = "NODE_BOOT_TIMEOUT"
# kubeadm alone may take 4 minutes by its own limits.
_CREATE_SECONDS = 420.0
_EXPORT_SECONDS = 60.0
_LOGS_SECONDS = 120.0


class Kind(Protocol):
    """What the cluster layer asks of kind."""

    def create(
        self,
        config: Mapping[str, object],
        *,
        spec: ClusterSpec,
        folder: Path,
        kubeconfig: Path,
        progress: Callable[[str], None],
    ) -> None:
        """Make a cluster; `folder` is for temporary files."""

    def export_kubeconfig(self, spec: ClusterSpec, target: Path) -> None:
        """Write the cluster's kubeconfig."""

    def export_logs(self, spec: ClusterSpec, folder: Path) -> None:
        """Collect the nodes' logs."""


@dataclass(frozen=True, slots=True)
class KindProgram:
    """The real one."""

    program: Path
    log: Path

    def create(
        self,
        config: Mapping[str, object],
        *,
        spec: ClusterSpec,
        folder: Path,
        kubeconfig: Path,
        progress: Callable[[str], None],
    ) -> None:
        """Make a cluster; `folder` is for temporary files."""
        import json

        file = folder / "kind.json"
        file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        argv = ["create", "cluster", "--config", str(file), "--image", spec.node_image, "--wait", "0s"]
        try:
            self._run(
                [*argv, "--kubeconfig", str(kubeconfig), "--retain"],
                spec=spec,
                seconds=_CREATE_SECONDS,
                on_line=lambda line: progress(line.strip(" •✓…")),
            )
        except ProcessFailedError as error:
            raise _explained(error) from error

    def export_kubeconfig(self, spec: ClusterSpec, target: Path) -> None:
        """Write the cluster's kubeconfig."""
        argv = ["export", "kubeconfig", "--name", spec.name, "--kubeconfig", str(target)]
        self._run(argv, spec=spec, seconds=_EXPORT_SECONDS)

    def export_logs(self, spec: ClusterSpec, folder: Path) -> None:
        """Collect the nodes' logs."""
        self._run(["export", "logs", "--name", spec.name, str(folder)], spec=spec, seconds=_LOGS_SECONDS)

    def _run(
        self,
        argv: list[str],
        *,
        spec: ClusterSpec,
        seconds: float,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        environment = {**os.environ, "KIND_EXPERIMENTAL_DOCKER_NETWORK": spec.network}
        run(
            [str(self.program), *argv],
            timeout_seconds=seconds,
            env=environment,
            log=self.log,
            on_line=on_line,
        )


def _explained(error: ProcessFailedError) -> EnvironmentNotReadyError:
    if "could not find a log line" in error.tail:
        return EnvironmentNotReadyError(
            BOOT_TIMEOUT,
            "a node did not boot within kind's 30 s",
            hint="The host is too busy, or the image does not start: `rehearsal doctor`, then again.",
        )
    if "port is already allocated" in error.tail or "address already in use" in error.tail:
        return EnvironmentNotReadyError(
            "PORT_IN_USE",
            f"a port that the cluster publishes is taken:\n{error.tail}",
            hint="`rehearsal doctor` says by whom; free it, or change [ports] in rehearsal.toml.",
        )
    return EnvironmentNotReadyError("KIND_FAILED", error.message, hint=error.hint)
