"""The checks of rights that come with a contract run, against services that keep them and that do not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mambogo_testkit import fuzz_hooks
from mambogo_testkit.peers import Peer, PeerReply, peer

CANCEL = "POST /api/orders/{order_id}/cancellation"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of alice's, in which bob and a reader are known."""
    users = tmp_path / "users.json"
    entries = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {name}"}]}
        for name in ("alice", "bob", "reader")
    ]
    users.write_text(json.dumps({"auth": entries}))
    monkeypatch.setenv("USERS", str(users))
    monkeypatch.setenv("USER", "alice")
    monkeypatch.setenv("FORBIDDEN", "POST /api/orders")


def done(server: Peer, status: int = 200) -> Any:
    """What alice asked, and how it was answered."""
    headers = {"Authorization": "Bearer alice", "Idempotency-Key": "hers"}
    request = SimpleNamespace(method="POST", url=f"{server.url}/x", headers=headers, body=b"{}")
    return SimpleNamespace(status_code=status, request=request)


def case(label: str) -> Any:
    return SimpleNamespace(operation=SimpleNamespace(label=label))


@pytest.mark.usefixtures("run")
def test_what_a_stranger_could_do_is_found() -> None:
    check = fuzz_hooks.StrangersChangeNothing([CANCEL], ["alice", "bob"])
    with peer(lambda request: PeerReply(200)) as server, pytest.raises(AssertionError, match="bob did"):
        check.after_response(None, done(server), case(CANCEL))


@pytest.mark.usefixtures("run")
def test_each_stranger_is_tried_with_a_key_of_its_own() -> None:
    check = fuzz_hooks.StrangersChangeNothing([CANCEL], ["alice", "bob"])
    with peer(lambda request: PeerReply(404)) as server:
        check.after_response(None, done(server), case(CANCEL))
        [asked] = server.requests
    assert asked.headers["authorization"] == "Bearer bob"
    assert asked.headers["idempotency-key"] != "hers"


@pytest.mark.usefixtures("run")
def test_what_failed_anyway_or_is_nobodys_is_not_tried() -> None:
    check = fuzz_hooks.StrangersChangeNothing([CANCEL], ["alice", "bob"])
    with peer(lambda request: PeerReply(200)) as server:
        check.after_response(None, done(server, 409), case(CANCEL))
        check.after_response(None, done(server), case("POST /api/orders"))
        assert server.requests == []


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(("status", "is_found"), [(201, True), (403, False)])
def test_what_a_user_may_not_and_did_is_found(status: int, is_found: bool) -> None:
    response = SimpleNamespace(status_code=status)
    check = fuzz_hooks.RightsAreKept()
    if is_found:
        with pytest.raises(AssertionError, match="may not"):
            check.after_response(None, response, case("POST /api/orders"))
    else:
        check.after_response(None, response, case("POST /api/orders"))
