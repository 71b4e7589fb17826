"""Whether a reader fits a writer: proved, refuted with a place, or in doubt; never wrongly proved."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rehearsal.contract.fitting import Misfit, fit
from rehearsal.contract.schemas import Schema, UndecidableError, closed, opened, plain

from tests.contract.generated import allows, changed, schemas, values

# Schemas are cheap, but for some of them few values are allowed.
GENERATED = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _text(**rules: Any) -> Schema:
    return {"type": "string", **rules}


def _whole(**rules: Any) -> Schema:
    return {"type": "integer", **rules}


def _object(properties: dict[str, Schema], *required: str, **rules: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), **rules}


def _list(items: Schema, **rules: Any) -> Schema:
    return {"type": "array", "items": items, **rules}


FITTING: dict[str, tuple[Schema, Schema]] = {
    "the same": (_object({"a": _text()}, "a"), _object({"a": _text()}, "a")),
    "optional field more in the writer": (_object({"a": _text()}), _object({"a": _text(), "b": _text()})),
    "required in the writer alone": (_object({"a": _text()}), _object({"a": _text()}, "a")),
    "wider bounds": (_whole(minimum=0, maximum=9), _whole(minimum=1, maximum=5)),
    "wider bound in a list": (
        _list(_object({"n": _whole(minimum=0)})),
        _list(_object({"n": _whole(minimum=1)})),
    ),
    "more in an enum": ({"enum": ["a", "b"]}, {"enum": ["a"]}),
    "constants for an enum": ({"anyOf": [{"const": "a"}, {"const": "b"}]}, {"enum": ["a", "b"]}),
    "a number for an integer": ({"type": "number"}, _whole()),
    "any text for a UUID": (_text(), _text(format="uuid")),
    "any text for a pattern": (_text(minLength=1), _text(pattern="^[a-z]+$")),
    "nullable": ({"anyOf": [_text(), {"type": "null"}]}, _text()),
    "branches by a field": (
        {"anyOf": [_object({"k": {"const": "a"}}, "k"), _object({"k": {"const": "b"}}, "k")]},
        _object({"k": {"enum": ["a", "b"]}}, "k"),
    ),
}
MISFITTING: dict[str, tuple[Schema, Schema, str, str]] = {
    "type": (_object({"a": _whole()}), _object({"a": _text()}), "/properties/a", "type"),
    "fractions": (_whole(), {"type": "number"}, "", "type"),
    "null": (_text(), {"anyOf": [_text(), {"type": "null"}]}, "", "type"),
    "enum": (_object({"a": {"enum": ["x"]}}), _object({"a": {"enum": ["x", "y"]}}), "/properties/a", "enum"),
    "const": ({"const": "a"}, _text(), "", "const"),
    "minimum": (_list(_whole(minimum=1)), _list(_whole(minimum=0)), "/items", "minimum"),
    "maximum": (_whole(maximum=1_000), _whole(maximum=1_001), "", "maximum"),
    "exclusive": (_whole(exclusiveMinimum=0), _whole(), "", "exclusiveMinimum"),
    "longer": (_text(maxLength=10), _text(maxLength=11), "", "maxLength"),
    "shorter": (_text(minLength=1), _text(), "", "minLength"),
    "longer list": (_list(_text(), maxItems=100), _list(_text(), maxItems=101), "", "maxItems"),
    "empty list": (_list(_text(), minItems=1), _list(_text()), "", "minItems"),
    "pattern": (_text(pattern="^[a-z]+$"), _text(pattern="^[A-Za-z]+$"), "", "pattern"),
    "format": (_text(format="uuid"), _text(), "", "format"),
    "missing": (_object({"a": _text()}, "a"), _object({"a": _text()}), "/properties/a", "required"),
    "unknown field": (
        _object({"a": _text()}, additionalProperties=False),
        _object({"a": _text(), "b": _text()}, additionalProperties=False),
        "/properties/b",
        "additionalProperties",
    ),
    "within the branch that is meant": (
        _object({"a": {"anyOf": [_text(maxLength=2), {"type": "null"}]}}),
        _object({"a": {"anyOf": [_text(maxLength=3), {"type": "null"}]}}),
        "/properties/a/anyOf/0",
        "maxLength",
    ),
    "no branch": ({"anyOf": [{"const": "a"}, {"const": "b"}]}, {"enum": ["a", "c"]}, "", "anyOf"),
}


@pytest.mark.parametrize(("reader", "writer"), FITTING.values(), ids=FITTING)
def test_reader_that_takes_all_is_proved_to_fit(reader: Schema, writer: Schema) -> None:
    assert fit(reader, writer).misfits == ()
    assert fit(reader, writer).doubt == ""


@pytest.mark.parametrize(("reader", "writer", "pointer", "rule"), MISFITTING.values(), ids=MISFITTING)
def test_what_is_refused_is_told_with_its_place_and_rule(
    reader: Schema, writer: Schema, pointer: str, rule: str
) -> None:
    found = fit(reader, writer)

    assert [one.key for one in found.misfits] == [(pointer, rule)]
    assert found.doubt == ""


def test_value_one_beyond_the_bound_is_the_example() -> None:
    assert fit(_whole(maximum=1_000), _whole()).misfits == (Misfit("", "maximum", "1000", "1001"),)


def test_long_text_is_told_by_its_length() -> None:
    (found,) = fit(_text(maxLength=2_000), _text()).misfits
    assert found.example == "a text of 2001 characters"


def test_no_misfit_hides_another() -> None:
    reader = _object({"a": _whole(maximum=5), "b": _text(maxLength=3), "c": {"enum": ["x"]}}, "a", "b", "c")
    writer = _object({"a": {"type": "number"}, "b": _text(), "c": {"enum": ["x", "y"]}})

    assert {one.key for one in fit(reader, writer).misfits} == {
        ("/properties/a", "type"),
        ("/properties/a", "maximum"),
        ("/properties/b", "maxLength"),
        ("/properties/c", "enum"),
        ("/properties/a", "required"),
        ("/properties/b", "required"),
        ("/properties/c", "required"),
    }


def test_pattern_that_became_another_without_a_counterexample_is_in_doubt() -> None:
    found = fit(_text(pattern="^[a-z0-9]+(-[a-z0-9]+)*$"), _text(pattern="^[a-z]+$"))

    assert found.misfits == ()
    assert "neither a proof" in found.doubt


def test_doubt_is_not_hidden_by_a_misfit_elsewhere() -> None:
    reader = _object({"a": _text(pattern="^[a-z0-9]+$"), "b": _whole(maximum=1)})
    writer = _object({"a": _text(pattern="^[a-z]+$"), "b": _whole()})

    found = fit(reader, writer)

    assert [one.rule for one in found.misfits] == ["maximum"]
    assert found.doubt


def test_writer_that_can_send_nothing_proves_nothing() -> None:
    assert "no value" in fit(_whole(), _text(minLength=3, maxLength=1)).doubt


def test_what_is_no_schema_is_in_doubt() -> None:
    assert "no schema" in fit({"type": "strange"}, _text()).doubt


@GENERATED
@given(st.data())
def test_value_that_only_the_writer_allows_is_never_overlooked(data: st.DataObject) -> None:
    writer = data.draw(schemas)
    reader = data.draw(st.one_of(changed(writer), schemas))
    value = data.draw(values(writer))
    assume(allows(writer, value) and not allows(reader, value))

    found = fit(reader, writer)

    assert found.misfits or found.doubt


@GENERATED
@given(st.data())
def test_whatever_is_proved_holds_for_every_value(data: st.DataObject) -> None:
    writer = data.draw(schemas)
    reader = data.draw(changed(writer))
    found = fit(reader, writer)
    assume(not found.misfits and not found.doubt)

    for value in data.draw(st.lists(values(writer), min_size=5, max_size=5)):
        assert not allows(writer, value) or allows(reader, value)


@GENERATED
@given(schemas)
def test_schema_that_allows_something_fits_itself(schema: Schema) -> None:
    found = fit(schema, schema)

    assert found.misfits == ()
    assert found.doubt in ("", "the writer's schema allows no value at all")


@GENERATED
@given(st.data())
def test_opened_readers_take_more_and_closed_writers_send_less(data: st.DataObject) -> None:
    schema = data.draw(schemas)
    value = data.draw(values(schema))

    if allows(schema, value):
        assert allows(opened(schema), value)
    if allows(closed(schema), value):
        assert allows(schema, value)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string", "format": "colour"}, "colour"),
        ({"patternProperties": {"^x": {}}}, "patternProperties"),
        ({"$ref": "#/components/schemas/Tree"}, "contains itself"),
        ({"$ref": "#/components/schemas/Gone"}, "does not exist"),
        ({"$ref": "https://example.org/schema"}, "a reference to"),
        ({"$ref": "#/components/schemas/Name", "maxLength": 3}, "beside a reference"),
        ({"not": {"type": "object", "properties": {}}}, "negated"),
        ({"properties": {"a": {}}, "anyOf": [{}, {}]}, "also a union"),
    ],
    ids=[
        "format",
        "keyword",
        "recursion",
        "dangling",
        "elsewhere",
        "narrowed reference",
        "negation",
        "mixture",
    ],
)
def test_what_is_not_understood_is_not_compared(schema: Schema, why: str) -> None:
    tree = {"properties": {"children": {"items": {"$ref": "#/components/schemas/Tree"}}}}
    document = {"components": {"schemas": {"Tree": tree, "Name": {"type": "string"}}}}

    with pytest.raises(UndecidableError, match=why):
        plain(schema, document)


def test_annotations_and_references_make_no_difference() -> None:
    document = {"components": {"schemas": {"Name": {"type": "string", "title": "Name"}}}}
    schema = {"properties": {"title": {"$ref": "#/components/schemas/Name", "description": "Its title."}}}

    assert plain(schema, document) == {"properties": {"title": {"type": "string"}}}
