"""The OpenAPI document is complete and sound, and lint finds what would not be. Pages and entity tags."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import reminders
from mambogo_chassis.auth import PUBLIC, requires
from mambogo_chassis.http import etags, openapi, pagination
from mambogo_chassis.http.app import create_app
from mambogo_chassis.http.problems import Problem, errors
from mambogo_chassis.http.types import JSON_INTEGER


def document_of(router: APIRouter) -> dict[str, Any]:
    return create_app(title="t", version="1", routers=[router]).openapi()


def sample() -> FastAPI:
    return create_app(title="Reminders", version="1", routers=[reminders.router, reminders.public])


def test_the_sample_services_document_is_sound() -> None:
    assert openapi.lint(sample().openapi()) == []


def test_every_operation_documents_what_the_chassis_answers() -> None:
    for _, _, operation in openapi.operations(sample().openapi()):
        assert {"400", "422", "429", "500", "503", "504"} <= set(operation["responses"])


def test_secured_operations_document_401_and_403_and_public_ones_do_not() -> None:
    document = sample().openapi()
    secured = {
        operation["operationId"]: {"401", "403"} <= set(operation["responses"])
        for _, _, operation in openapi.operations(document)
    }
    assert secured.pop("about") is False
    assert all(secured.values())


def test_a_documented_503_says_when_to_come_again() -> None:
    assert "Retry-After" in errors(503)[503]["headers"]


def test_a_constraint_that_was_lost_is_found() -> None:
    wrapped = Annotated[int, JSON_INTEGER]

    class Body(BaseModel):
        model_config = {"extra": "forbid"}
        quantity: Annotated[wrapped, Field(ge=1)]

    router = APIRouter()

    @router.post("/x", openapi_extra=PUBLIC)
    async def create(body: Body) -> None: ...

    found = openapi.lint(document_of(router))
    assert any("`ge` is no JSON Schema keyword" in line for line in found)


def test_an_open_body_is_found() -> None:
    class Open(BaseModel):
        name: str

    router = APIRouter()

    @router.post("/x", openapi_extra=PUBLIC)
    async def create(body: Open) -> None: ...

    assert openapi.lint(document_of(router)) == [
        "POST /x: the body accepts unknown members; derive it from types.Body"
    ]


def test_a_201_without_location_is_found() -> None:
    router = APIRouter()

    @router.post("/x", status_code=201, openapi_extra=PUBLIC)
    async def create() -> None: ...

    assert openapi.lint(document_of(router)) == ["POST /x: 201 documents no Location"]


def test_an_error_in_another_form_is_found() -> None:
    router = APIRouter(dependencies=[requires("x")])

    @router.get("/x", responses={404: {"description": "gone"}})
    async def read() -> None: ...

    assert openapi.lint(document_of(router)) == ["GET /x: 404 is not documented as application/problem+json"]


@given(st.one_of(st.integers(-(2**53), 2**53), st.text()))
def test_a_cursor_comes_back_as_it_went(key: int | str) -> None:
    encoded = pagination.encode_cursor(key)
    assert pagination.decode_cursor(encoded, type(key)) == key


@given(st.text(alphabet="ABCDEFGHabcdefgh0123456789_-", min_size=1, max_size=256))
def test_any_text_is_a_cursor_of_ours_or_404(text: str) -> None:
    outcome: object
    try:
        outcome = type(pagination.decode_cursor(text, int))
    except Problem as problem:
        outcome = problem.status_code
    assert outcome in (int, 404)


def test_a_page_knows_whether_there_is_another() -> None:
    assert pagination.page_of([1, 2, 3], 2) == ([1, 2], True)
    assert pagination.page_of([1, 2], 2) == ([1, 2], False)


@pytest.mark.parametrize(
    ("header", "matches"), [('"3"', True), ('"2", "3"', True), ("*", True), ('"2"', False)]
)
def test_if_match(header: str, matches: bool) -> None:
    if matches:
        etags.require_match(header, 3)
    else:
        with pytest.raises(Problem) as caught:
            etags.require_match(header, 3)
        assert caught.value.status_code == 412


@pytest.mark.parametrize("header", ['W/"3"', "3", "", "garbage, W/"])
def test_if_match_compares_strongly(header: str) -> None:
    with pytest.raises(Problem):
        etags.require_match(header, 3)


@pytest.mark.parametrize(
    ("header", "unchanged"), [(None, False), ('"3"', True), ('W/"3"', True), ("*", True), ('"4"', False)]
)
def test_if_none_match(header: str | None, unchanged: bool) -> None:
    assert etags.not_modified(header, 3) is unchanged
