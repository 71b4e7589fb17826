"""What tells one cluster from another: asked again for a while, and never empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rehearsal.cluster import identity
from rehearsal.cluster.identity import identity_of
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import WaitTimeoutError

_NAMESPACE = {"metadata": {"uid": "7"}}


class Api:
    """An API server that says one thing after the other, the last one for ever."""

    def __init__(self, *says: Mapping[str, Any] | Exception | None) -> None:
        self.says: Iterator[Mapping[str, Any] | Exception | None] = iter(says)
        self.last: Mapping[str, Any] | Exception | None = None

    def get(self, path: str) -> Mapping[str, Any] | None:
        assert path == "/api/v1/namespaces/kube-system"
        self.last = next(self.says, self.last)
        if isinstance(self.last, Exception):
            raise self.last
        return self.last


def _silence() -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError("API_UNREACHABLE", "no answer", hint="look")


def test_it_is_told_by_what_is_as_old_as_it() -> None:
    assert identity_of(Api(_NAMESPACE), "staging") == "7"


def test_cluster_that_does_not_answer_is_asked_again() -> None:
    assert identity_of(Api(_silence(), _silence(), _NAMESPACE), "staging") == "7"


@pytest.mark.parametrize(
    ("says", "said"), [(_silence(), "no answer"), (None, "staging"), ({"metadata": {}}, "staging")]
)
def test_one_that_is_not_said_is_an_error_and_never_empty(
    monkeypatch: pytest.MonkeyPatch, says: Mapping[str, Any] | Exception | None, said: str
) -> None:
    monkeypatch.setattr(identity, "_PATIENCE_SECONDS", 0.0)

    with pytest.raises(WaitTimeoutError, match=said):
        identity_of(Api(says), "staging")
