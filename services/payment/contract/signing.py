"""Schemathesis hooks: webhooks are signed as the provider's are, with the secret in PROVIDER_WEBHOOK_SECRET.

Signed are those that schemathesis means to be sound; what it makes wrong on purpose stays wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from typing import Any

import rehearsal.contract.fuzzing.hooks  # noqa: F401 - registers its hook
import requests
import schemathesis

_PATH = "/api/payments/webhooks/provider"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Sign the bytes that will be sent."""
    if case.path != _PATH or case.meta is None or case.meta.generation.mode.is_negative:
        return
    body = requests.Request(**case.as_transport_kwargs()).prepare().body or b""
    raw = body.encode() if isinstance(body, str) else body
    at = int(time.time())
    secret = os.environ["PROVIDER_WEBHOOK_SECRET"].encode()
    digest = hmac.new(secret, f"{at}.".encode() + raw, hashlib.sha256).hexdigest()
    case.headers["Provider-Signature"] = f"t={at},v1={digest}"
