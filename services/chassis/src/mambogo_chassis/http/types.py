"""Field types whose validation is exactly what their published schema says.

A fuzzer sends what the schema allows and what it forbids; each type here answers both right: JSON Schema
calls 3.0 an integer and true not one, a lax pydantic int the other way round. The constraint comes before
the validator (`Annotated[int, Field(ge=1), JSON_INTEGER]`): applied outside, pydantic publishes `ge`
instead of `minimum`, and the constraint is lost to every reader. `openapi.lint` finds that mistake.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# 2^53 - 1: past it, readers that keep numbers as doubles disagree on what was sent (RFC 8259, section 6). It
# fits PostgreSQL's bigint.
MAX_INTEGER: Final = 9_007_199_254_740_991
# PostgreSQL's text cannot hold NUL, and a lone surrogate cannot be encoded; the schema says the first.
NO_NUL: Final = r"^[^\x00]*$"


def _refuse_bool_and_text(value: Any) -> Any:
    if isinstance(value, bool | str | bytes):
        raise ValueError("must be an integer")
    return value


JSON_INTEGER: Final = BeforeValidator(_refuse_bool_and_text)

StrictBool = Annotated[bool, Field(strict=True)]
PositiveInt = Annotated[int, Field(ge=1, le=MAX_INTEGER), JSON_INTEGER]
NonNegativeInt = Annotated[int, Field(ge=0, le=MAX_INTEGER), JSON_INTEGER]
Text = Annotated[str, Field(pattern=NO_NUL, max_length=2000)]


class Body(BaseModel):
    """Base of request bodies: unknown members are refused, and nothing of the input shows in errors."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class QueryModel(BaseModel):
    """Base of query parameters, used as `Annotated[ListQuery, Query()]`: unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class View(BaseModel):
    """Base of response bodies: closed, so that a consumer's contract says all there is."""

    model_config = ConfigDict(extra="forbid")
