"""The answers that the gateway gives itself, as ready-made bytes, and the errors that carry them.

Every refusal is an `application/problem+json` document. Its bytes are made once per process: an
overloaded gateway must be able to say so for next to nothing. What an upstream answers is never rewritten
here.
"""

from __future__ import annotations

import functools
import math
from http import HTTPStatus
from typing import Final

import msgspec


class GatewayError(Exception):
    """Root of this package's errors: a stable code, what happened, and what to do about it."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{code}: {message}" + (f" ({hint})" if hint else ""))
        self.code = code
        self.message = message
        self.hint = hint


class ConfigurationError(GatewayError):
    """The configuration cannot be used; the one in force stays in force."""


class Refusal:
    """One kind of final answer: its status, its problem document and whether the connection survives it."""

    __slots__ = ("body", "close", "code", "head", "status")

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        close: bool = False,
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.status = status
        self.code = code
        self.close = close
        phrase = HTTPStatus(status).phrase
        document = {
            "type": f"urn:mambogo:problem:{code}",
            "title": phrase,
            "status": status,
            "detail": detail,
        }
        # The request's id is the last member, so that everything before it can be made once.
        self.body = msgspec.json.encode(document)[:-1] + b',"request_id":"'
        lines = [
            f"HTTP/1.1 {status} {phrase}",
            "Content-Type: application/problem+json",
            "Cache-Control: no-store",
            *(f"{name}: {value}" for name, value in fields),
        ]
        self.head = "\r\n".join(lines).encode("latin-1")

    def render(self, *, request_id: bytes, close: bool, head_only: bool) -> bytes:
        """The whole response; `head_only` answers a HEAD request."""
        length = len(self.body) + len(request_id) + 2
        connection = b"Connection: close\r\n" if close or self.close else b""
        body = b"" if head_only else b'%b%b"}' % (self.body, request_id)
        return b"%b\r\nContent-Length: %d\r\nX-Request-Id: %b\r\n%b\r\n%b" % (
            self.head,
            length,
            request_id,
            connection,
            body,
        )


class RequestRefusedError(GatewayError):
    """A request that is not passed on; `refusal` is what its sender is told."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(refusal.code, message)
        self.refusal = refusal


class ResponseRefusedError(GatewayError):
    """An upstream's response that is not HTTP/1 as the gateway is willing to read it."""

    def __init__(self, message: str) -> None:
        super().__init__("bad-upstream-response", message)


def _refusal(status: int, code: str, detail: str, *, close: bool = False, **fields: str) -> Refusal:
    pairs = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return Refusal(status=status, code=code, detail=detail, close=close, fields=pairs)


# Framing is in doubt after each of these, so the connection cannot be used again.
MALFORMED_REQUEST: Final = _refusal(
    400, "malformed-request", "The request is not well-formed HTTP/1.1.", close=True
)
AMBIGUOUS_LENGTH: Final = _refusal(
    400, "ambiguous-length", "The request's length can be read in more than one way.", close=True
)
MALFORMED_CONTENT: Final = _refusal(
    400, "malformed-content", "The request's chunked content is not well-formed.", close=True
)
REQUEST_TIMEOUT: Final = _refusal(408, "request-timeout", "The request did not arrive in time.", close=True)
CONTENT_TOO_LARGE: Final = _refusal(413, "content-too-large", "The content is too large.", close=True)
URI_TOO_LONG: Final = _refusal(414, "uri-too-long", "The request target is too long.", close=True)
HEADERS_TOO_LARGE: Final = _refusal(
    431, "headers-too-large", "The request's header section is too large.", close=True
)
UNSUPPORTED_CODING: Final = _refusal(
    501, "unsupported-transfer-coding", "The only transfer coding understood is chunked.", close=True
)
UNKNOWN_METHOD: Final = _refusal(501, "unknown-method", "The method is not implemented.", close=True)
UNSUPPORTED_VERSION: Final = _refusal(
    505, "unsupported-version", "Only HTTP/1.0 and HTTP/1.1 are spoken here.", close=True
)
EXPECTATION_FAILED: Final = _refusal(
    417, "expectation-failed", "Only 100-continue is understood.", close=True
)

AMBIGUOUS_PATH: Final = _refusal(
    400, "ambiguous-path", "Dot segments and encoded separators are not accepted in a path."
)
NO_ROUTE: Final = _refusal(404, "no-route", "No service answers at this path.")
BAD_DEADLINE: Final = _refusal(400, "bad-deadline", "X-Request-Deadline is not a deadline.")
TOKEN_MISSING: Final = _refusal(
    401, "token-missing", "A bearer token is required.", WWW_Authenticate='Bearer realm="mambogo"'
)
TOKEN_REFUSED: Final = _refusal(
    401,
    "token-refused",
    "The bearer token is not valid.",
    WWW_Authenticate='Bearer realm="mambogo", error="invalid_token"',
)
VERIFIER_UNAVAILABLE: Final = _refusal(
    503, "verifier-unavailable", "Tokens cannot be checked at the moment.", Retry_After="2"
)
OVERLOADED: Final = _refusal(503, "overloaded", "Too many requests are in flight.", Retry_After="1")
NO_INSTANCE: Final = _refusal(503, "no-instance", "No instance of the service is available.", Retry_After="1")
CIRCUIT_OPEN: Final = _refusal(
    503, "circuit-open", "The service has been failing and is being spared.", Retry_After="2"
)
BAD_GATEWAY: Final = _refusal(502, "bad-gateway", "The service gave no usable answer.")
UPSTREAM_TIMEOUT: Final = _refusal(504, "upstream-timeout", "The service did not answer in time.")
INTERNAL_ERROR: Final = _refusal(
    500, "internal-error", "The gateway failed to handle the request.", close=True
)


def method_not_allowed(methods: frozenset[str]) -> Refusal:
    """A 405 that names the methods a route does take, as RFC 9110 15.5.6 requires."""
    return _refusal(
        405, "method-not-allowed", "The path does not take this method.", Allow=", ".join(sorted(methods))
    )


# Nobody should be told to wait for hours, and each value's bytes are made once.
_MAX_RETRY_AFTER_SECONDS: Final = 60


@functools.cache
def _rate_limited(seconds: int) -> Refusal:
    return _refusal(429, "rate-limited", "Too many requests.", Retry_After=str(seconds))


def rate_limited(seconds: float) -> Refusal:
    """A 429 that says when to come back, in whole seconds."""
    return _rate_limited(max(1, min(math.ceil(seconds), _MAX_RETRY_AFTER_SECONDS)))
