"""What tells a cluster that the project did not make from every other one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import NotYet, wait_until

# Nothing else of a cluster is as old as it, and never made anew.
_PATH: Final = "/api/v1/namespaces/kube-system"
_PATIENCE_SECONDS: Final = 30.0  # two requests that the API server never answers, and a third one


class Reader(Protocol):
    """The part of a Kubernetes API client that is needed here."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""


def identity_of(api: Reader, context: str) -> str:
    """Return the cluster's identity, which is never empty; ask again for a while when nobody answers.

    Raises WaitTimeoutError with what was said last.
    """

    def ask() -> str:
        try:
            found = api.get(_PATH) or {}
        except EnvironmentNotReadyError as error:
            raise NotYet(error.message) from error
        return str(found.get("metadata", {}).get("uid", ""))

    return wait_until(
        f"the identity of the cluster of context {context}",
        ask,
        timeout_seconds=_PATIENCE_SECONDS,
        hint="Whoever uses that context has to be allowed to get the namespace kube-system.",
        interval_seconds=0.5,
    )
