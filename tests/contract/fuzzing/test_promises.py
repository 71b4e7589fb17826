"""What no schema says: changes that are to be seen, and pages that go on; each broken once, and kept once."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rehearsal.contract.fuzzing.promises import ChangesAreSeen, PagesGoOn
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.servers import running

PLACE, CANCEL, REMOVE, PUT = (
    "POST /orders",
    "POST /orders/{id}/cancellation",
    "DELETE /cart/{id}",
    "PUT /cart/{id}",
)
CHANGES: Mapping[str, Mapping[str, Any]] = {
    PLACE: {"read": "Location", "same": ["lines"]},
    CANCEL: {"read": "/orders/{id}", "is": {"state": "CANCELLED"}},
    REMOVE: {"read": "/cart", "lacking": {"items": "id"}},
    PUT: {"read": "/cart", "having": {"items": "id"}},
}
ADJUST = "POST /stock/{id}/adjustments"
LIST = "GET /orders"

CHECKOUT = Path(__file__).parents[3]

pytestmark = pytest.mark.enable_socket


@contextmanager
def answering(answers: Mapping[str, Any], asked: list[Request]) -> Iterator[str]:
    """Have a service that answers each path and query with its content, or with its status."""

    def application(environ: Any, start: Any) -> Any:
        request = Request(environ)
        asked.append(request)
        content = answers[request.full_path.removesuffix("?")]
        status = content if isinstance(content, int) else 200
        return Response(json.dumps(content), status, content_type="application/json")(environ, start)

    with running(make_server("127.0.0.1", 0, application)) as port:
        yield f"http://127.0.0.1:{port}"


def _changed(
    label: str, answers: Mapping[str, Any], content: Any = None, *, status: int = 200
) -> list[Request]:
    """Run the check after `label` was answered with `content` by a service that answers `answers`."""
    asked: list[Request] = []
    with answering(answers, asked) as url:
        ChangesAreSeen(CHANGES).after_response(
            None, _answer(f"{url}/x", content, status, Location=["/orders/7"]), _case(label, id="7")
        )
    return asked


def _listed(answers: Mapping[str, Any], page: Mapping[str, Any], query: str = "?limit=2") -> list[Request]:
    """Run the check after a list was answered with `page`."""
    asked: list[Request] = []
    with answering(answers, asked) as url:
        PagesGoOn({LIST: "id"}).after_response(None, _answer(f"{url}/orders{query}", page, 200), _case(LIST))
    return asked


def _answer(url: str, content: Any, status: int, **headers: list[str]) -> Any:
    request = SimpleNamespace(
        method="POST", url=url, headers={"Authorization": "Bearer alice", "If-None-Match": '"1"'}
    )
    body = json.dumps(content).encode()
    named = {name.lower(): value for name, value in headers.items()}
    return SimpleNamespace(status_code=status, content=body, headers=named, request=request)


def _case(label: str, **parameters: str) -> Any:
    return SimpleNamespace(operation=SimpleNamespace(label=label), path_parameters=parameters)


def _page(*ids: str, cursor: str | None = None) -> Mapping[str, Any]:
    return {"items": [{"id": one} for one in ids], "next_cursor": cursor}


@pytest.mark.parametrize(
    ("label", "answers", "content", "wrong"),
    [
        (PLACE, {"/orders/7": {"lines": [1]}}, {"lines": [1, 2]}, r"lines \[1\] instead of \[1, 2\]"),
        (PLACE, {"/orders/7": 404}, {"lines": [1]}, "answers 404"),
        (CANCEL, {"/orders/7": {"state": "PENDING"}}, {}, 'state "PENDING" instead of "CANCELLED"'),
        (CANCEL, {"/orders/7": {}}, {}, "state null"),
        (REMOVE, {"/cart": {"items": [{"id": "6"}, {"id": "7"}]}}, None, "items with id 7"),
        (PUT, {"/cart": {"items": [{"id": "6"}]}}, None, "items without id 7"),
    ],
)
def test_a_change_that_is_not_to_be_seen_is_found(
    label: str, answers: Mapping[str, Any], content: Any, wrong: str
) -> None:
    with pytest.raises(AssertionError, match=wrong):
        _changed(label, answers, content)


@pytest.mark.parametrize(
    ("label", "answers", "content"),
    [
        (PLACE, {"/orders/7": {"lines": [1], "state": "RESERVED"}}, {"lines": [1], "state": "PENDING"}),
        (CANCEL, {"/orders/7": {"state": "CANCELLED"}}, {}),
        (REMOVE, {"/cart": {"items": [{"id": "6"}]}}, None),
        (PUT, {"/cart": {"items": [{"id": "7"}]}}, None),
    ],
)
def test_a_change_that_is_seen_is_well(label: str, answers: Mapping[str, Any], content: Any) -> None:
    (request,) = _changed(label, answers, content)

    assert request.headers["Authorization"] == "Bearer alice"
    assert "If-None-Match" not in request.headers


@pytest.mark.parametrize(("label", "status"), [(PLACE, 409), (PLACE, 422), ("POST /others", 201)])
def test_what_changed_nothing_or_is_not_named_is_not_read(label: str, status: int) -> None:
    assert _changed(label, {}, {}, status=status) == []


def test_a_success_that_says_no_place_to_read_is_found() -> None:
    with pytest.raises(AssertionError, match="no Location"):
        ChangesAreSeen(CHANGES).after_response(None, _answer("http://127.0.0.1:9/x", {}, 201), _case(PLACE))


def test_an_answer_to_a_repeated_request_is_not_compared() -> None:
    check = ChangesAreSeen({ADJUST: {"read": "/stock/{id}", "same": ["initial"]}})
    answers = {"/stock/7": {"initial": 8114}}

    def answered(url: str, path: str, key: str) -> Any:
        answer = _answer(f"{url}{path}", {"initial": 8114}, 200)
        answer.request.headers["Idempotency-Key"] = key
        return answer

    with answering(answers, []) as url:
        first = answered(url, "/7", "a")
        check.after_response(None, first, _case(ADJUST, id="7"))
        answers["/stock/7"] = {"initial": 27}
        check.after_response(None, answered(url, "/7", "a"), _case(ADJUST, id="7"))

        # Another key, another place, and the first answer, which schemathesis may check again.
        for one in (answered(url, "/7", "b"), answered(url, "/8", "a"), first):
            with pytest.raises(AssertionError, match="initial 27 instead of 8114"):
                check.after_response(None, one, _case(ADJUST, id="7"))


def test_a_read_that_is_refused_says_nothing() -> None:
    _changed(PLACE, {"/orders/7": 429}, {"lines": [1]})


def test_a_value_of_another_type_is_the_reading_operations_matter() -> None:
    _changed(PLACE, {"/orders/7": {"lines": "1"}}, {"lines": [1]})


def test_a_page_that_begins_again_is_found() -> None:
    with pytest.raises(AssertionError, match="2 of its items again"):
        _listed({"/orders?limit=2&cursor=c": _page("a", "b", cursor="c")}, _page("a", "b", cursor="c"))


def test_a_page_that_goes_on_is_well() -> None:
    asked = _listed(
        {"/orders?limit=2&cursor=d": _page("c")}, _page("a", "b", cursor="d"), "?limit=2&cursor=c"
    )

    assert [one.args["cursor"] for one in asked] == ["d"]


def test_the_last_page_has_none_after_it() -> None:
    assert _listed({}, _page("a")) == []


def test_lists_are_followed_so_often_and_no_further() -> None:
    asked: list[Request] = []
    with answering({"/orders?cursor=c": _page("z")}, asked) as url:
        check = PagesGoOn({LIST: "id"})
        for _ in range(100):
            check.after_response(None, _answer(f"{url}/orders", _page("a", cursor="c"), 200), _case(LIST))

    assert len(asked) == 40


@pytest.mark.parametrize("service", ["cart", "inventory", "order", "payment", "product"])
def test_what_a_service_s_configuration_names_is_in_its_document(service: str) -> None:
    """A name that is not there would never be looked at, and nobody would notice."""
    text = (CHECKOUT / "services" / service / "contract" / "schemathesis.toml").read_text("utf-8")
    document = json.loads(
        (CHECKOUT / "contract-tests" / "openapi" / f"{service}-service.json").read_text("utf-8")
    )
    known = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    checks = tomllib.loads(text)["checks"]

    changes = checks.get("ChangesAreSeen", {}).get("changes", {})
    lists = checks.get("PagesGoOn", {}).get("lists", {})
    strangers = checks.get("StrangersChangeNothing", {}).get("operations", [])
    reads = {f"GET {one['read']}" for one in changes.values() if one["read"] != "Location"}

    assert changes or lists
    assert {*changes, *lists, *strangers, *reads} - known == set()
