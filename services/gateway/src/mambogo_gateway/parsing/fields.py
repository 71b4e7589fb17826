"""Which header fields a proxy consumes, replaces or passes on, looked up by the name as it was sent.

RFC 9110 7.6.1 (hop-by-hop fields), RFC 9112 5.1 (a name is a token, directly followed by its colon). What a
field's value means is left to the readers of requests and responses.
"""

from __future__ import annotations

import re
from typing import Final

# What a field line may contain: RFC 9110 5.5 without CR, LF, NUL and the other controls, but with HTAB.
TEXT: Final = bytes(byte for byte in range(256) if byte == 0x09 or (byte >= 0x20 and byte != 0x7F))
TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

FORWARD: Final = 0
DROP: Final = 1
CONNECTION: Final = 2
TRANSFER_ENCODING: Final = 3
HOST: Final = 4
EXPECT: Final = 5
FORWARDED_FOR: Final = 6
REQUEST_ID: Final = 7
TRACEPARENT: Final = 8
DEADLINE: Final = 9
# From here on a field is read by the gateway and passed on as well.
READ_AND_FORWARD: Final = 20
CONTENT_LENGTH: Final = 20
AUTHORIZATION: Final = 21
IDEMPOTENCY_KEY: Final = 22

_HOP_BY_HOP: Final = {
    b"keep-alive": DROP,
    b"proxy-authenticate": DROP,
    b"proxy-authorization": DROP,
    b"proxy-connection": DROP,
    b"te": DROP,
    b"trailer": DROP,
    b"upgrade": DROP,
    b"http2-settings": DROP,
    b"connection": CONNECTION,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
}
# A client could claim an identity, an address or an inner route by these; only the gateway may.
_CLAIMS: Final = {
    b"forwarded": DROP,
    b"x-forwarded-host": DROP,
    b"x-forwarded-proto": DROP,
    b"x-forwarded-port": DROP,
    b"x-forwarded-prefix": DROP,
    b"x-forwarded-server": DROP,
    b"x-forwarded-user": DROP,
    b"x-real-ip": DROP,
    b"x-client-ip": DROP,
    b"x-original-url": DROP,
    b"x-rewrite-url": DROP,
    b"x-http-method-override": DROP,
    b"x-served-by": DROP,
}
_IDENTITY_PREFIXES: Final = (b"x-user", b"x-auth", b"x-mambogo-", b"x-remote-", b"x-principal", b"x-roles")
_REQUEST: Final = {
    **_HOP_BY_HOP,
    **_CLAIMS,
    b"host": HOST,
    b"expect": EXPECT,
    b"authorization": AUTHORIZATION,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-request-id": REQUEST_ID,
    b"traceparent": TRACEPARENT,
    b"x-request-deadline": DEADLINE,
    b"idempotency-key": IDEMPOTENCY_KEY,
}
_RESPONSE: Final = {**_HOP_BY_HOP, b"x-request-id": DROP, b"x-served-by": DROP}

# Names beyond this many are looked up anew each time: an attacker must not be able to fill the memory.
_REMEMBERED_NAMES: Final = 512
_OPTION: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class FieldNames:
    """Remembers, per spelling of a name, whether it is a token and what becomes of the field.

    `get` is a plain dictionary's, so that a known spelling costs one look-up.
    """

    __slots__ = ("_identity_prefixes", "_known", "_meanings", "get")

    def __init__(self, meanings: dict[bytes, int], identity_prefixes: tuple[bytes, ...]) -> None:
        self._known: dict[bytes, int] = {}
        self._meanings = meanings
        self._identity_prefixes = identity_prefixes
        self.get = self._known.get

    @classmethod
    def of_requests(cls) -> FieldNames:
        """The names that matter in a request."""
        return cls(_REQUEST, _IDENTITY_PREFIXES)

    @classmethod
    def of_responses(cls) -> FieldNames:
        """The names that matter in a response."""
        return cls(_RESPONSE, ())

    def learn(self, name: bytes) -> int | None:
        """The meaning of a spelling seen for the first time; None when it is not a token."""
        if not name or name.translate(None, TOKEN):
            return None
        meaning = self._meaning(name.lower())
        if len(self._known) < _REMEMBERED_NAMES:
            self._known[name] = meaning
        return meaning

    def _meaning(self, name: bytes) -> int:
        known = self._meanings.get(name)
        if known is not None:
            return known
        # "X_User_Id" and "X-User-Id" are one variable to CGI-like readers behind us; nginx drops it likewise.
        if self._identity_prefixes and (b"_" in name or name.startswith(self._identity_prefixes)):
            return DROP
        return FORWARD

    def is_end_to_end(self, option: bytes) -> bool:
        """Whether a connection option names a field that is not the sender's to declare hop-by-hop."""
        return self._meaning(option) not in (FORWARD, DROP, TRANSFER_ENCODING) or option in _END_TO_END


# RFC 9110 7.6.1: options must not name fields meant for all recipients; dropping them changes the message.
_END_TO_END: Final = frozenset(
    {b"content-type", b"content-encoding", b"cookie", b"set-cookie", b"cache-control", b"if-match", b"etag"}
)


def connection_options(values: list[bytes]) -> set[bytes] | None:
    """The options of all Connection fields in lower case; None when one is not a token."""
    options: set[bytes] = set()
    for value in values:
        for item in value.split(b","):
            option = item.strip(b" \t").lower()
            if not option:
                continue
            if _OPTION.fullmatch(option) is None:
                return None
            options.add(option)
    return options


def without(lines: list[bytes], names: set[bytes]) -> list[bytes]:
    """The field lines whose name is not among `names` (lower case)."""
    return [line for line in lines if line.partition(b":")[0].lower() not in names]
