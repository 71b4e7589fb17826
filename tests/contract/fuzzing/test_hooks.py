"""What schemathesis does besides: rights that are kept and that are not, and requests that can succeed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rehearsal.contract.fuzzing import hooks
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.servers import running

CANCEL = "POST /api/orders/{order_id}/cancellation"
KNOWN = {"product_id": ["tent", "stove"]}

pytestmark = pytest.mark.enable_socket


@dataclass
class Asked:
    """A service that answers all with one status, and keeps what it was asked."""

    status: int
    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, environ: Any, start: Any) -> Any:
        """Answer a request."""
        self.headers.append({name.lower(): value for name, value in Request(environ).headers.items()})
        return Response(status=self.status)(environ, start)


@contextmanager
def answering(status: int) -> Iterator[Asked]:
    """Have such a service for the length of the block."""
    asked = Asked(status)
    with running(make_server("127.0.0.1", 0, asked)) as port:
        asked.url = f"http://127.0.0.1:{port}"
        yield asked


@pytest.fixture
def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of alice's, in which bob and a reader are known."""
    users = tmp_path / "users.json"
    entries = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {name}"}]}
        for name in ("alice", "bob", "reader")
    ]
    users.write_text(json.dumps({"auth": entries}), encoding="utf-8")
    monkeypatch.setenv("USERS", str(users))
    monkeypatch.setenv("USER", "alice")
    monkeypatch.setenv("FORBIDDEN", "POST /api/orders")


def _done(service: Asked, status: int = 200) -> Any:
    """What alice asked, and how it was answered."""
    headers = {"Authorization": "Bearer alice", "Idempotency-Key": "hers"}
    request = SimpleNamespace(method="POST", url=f"{service.url}/x", headers=headers, body=b"{}")
    return SimpleNamespace(status_code=status, request=request)


def _case(label: str) -> Any:
    return SimpleNamespace(operation=SimpleNamespace(label=label))


def _sound(*, is_negative: bool = False, **parts: Any) -> Any:
    mode = SimpleNamespace(is_negative=is_negative)
    meta = SimpleNamespace(generation=SimpleNamespace(mode=mode))
    return SimpleNamespace(**{"meta": meta, "headers": {}, "path_parameters": {}, "body": None, **parts})


@pytest.mark.usefixtures("_run")
def test_what_a_stranger_could_do_is_found() -> None:
    check = hooks.StrangersChangeNothing([CANCEL], ["alice", "bob"])
    with answering(200) as service, pytest.raises(AssertionError, match="bob did"):
        check.after_response(None, _done(service), _case(CANCEL))


@pytest.mark.usefixtures("_run")
def test_each_stranger_is_tried_with_a_key_of_its_own() -> None:
    check = hooks.StrangersChangeNothing([CANCEL], ["alice", "bob"])
    with answering(404) as service:
        check.after_response(None, _done(service), _case(CANCEL))
    (asked,) = service.headers
    assert asked["authorization"] == "Bearer bob"
    assert asked["idempotency-key"] != "hers"


@pytest.mark.usefixtures("_run")
def test_what_failed_anyway_or_is_nobodys_is_not_tried() -> None:
    check = hooks.StrangersChangeNothing([CANCEL], ["alice", "bob"])
    with answering(200) as service:
        check.after_response(None, _done(service, 409), _case(CANCEL))
        check.after_response(None, _done(service), _case("POST /api/orders"))
    assert service.headers == []


@pytest.mark.usefixtures("_run")
def test_what_a_user_may_not_and_did_is_found() -> None:
    with pytest.raises(AssertionError, match="may not"):
        hooks.RightsAreKept().after_response(
            None, SimpleNamespace(status_code=201), _case("POST /api/orders")
        )


@pytest.mark.usefixtures("_run")
def test_what_a_user_may_not_and_could_not_is_well() -> None:
    hooks.RightsAreKept().after_response(None, SimpleNamespace(status_code=403), _case("POST /api/orders"))


def test_most_ids_become_ids_of_what_there_is() -> None:
    drawn = {"lines": [{"product_id": f"drawn-{number}", "quantity": 1} for number in range(100)]}

    ids = [line["product_id"] for line in hooks.with_known(drawn, KNOWN)["lines"]]

    assert {*KNOWN["product_id"]} < {*ids}
    assert sum(one.startswith("drawn") for one in ids) < 40


def test_what_nobody_knows_is_tried_too() -> None:
    ids = [hooks.with_known({"product_id": f"drawn-{number}"}, KNOWN)["product_id"] for number in range(100)]

    assert any(one.startswith("drawn") for one in ids)


def test_the_same_id_becomes_the_same_one_and_a_known_one_stays() -> None:
    once = hooks.with_known({"product_id": "drawn"}, KNOWN)

    assert hooks.with_known({"product_id": "drawn"}, KNOWN) == once == hooks.with_known(once, KNOWN)


def test_each_sound_request_gets_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KNOWN", raising=False)
    case = _sound(headers={"Idempotency-Key": "drawn"})

    hooks.before_call(None, case, {})

    assert case.headers["Idempotency-Key"] != "drawn"


def test_what_is_wrong_on_purpose_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWN", json.dumps(KNOWN))
    case = _sound(is_negative=True, headers={"Idempotency-Key": "drawn"}, body={"product_id": "drawn"})

    hooks.before_call(None, case, {})

    assert (case.headers, case.body) == ({"Idempotency-Key": "drawn"}, {"product_id": "drawn"})
