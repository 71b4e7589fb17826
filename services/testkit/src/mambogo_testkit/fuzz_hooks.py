"""Schemathesis hooks for contract runs: `hooks = "mambogo_testkit.fuzz_hooks"` in a service's configuration.

Needs schemathesis, which only contract runs install. What is checked is the configurations'.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

import schemathesis

_HEADER: Final = "Idempotency-Key"
_VALID: Final = re.compile(r"[\x21-\x7e]{1,255}")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give each request a key of its own, as a client does.

    A generator repeats its values: the same key then comes with another body, which is a client's mistake and
    answered so. A key that is absent or malformed, on purpose, stays as it is, and so do all headers of a
    case that is about a wrong one: schemathesis would take it for a sound case once they were touched.
    """
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return
    key = (case.headers or {}).get(_HEADER)
    if isinstance(key, str) and _VALID.fullmatch(key):
        case.headers[_HEADER] = str(uuid.uuid4())
