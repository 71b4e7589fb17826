"""Looks for secrets where none may be, and says their names only: findings are printed, needles never."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

_BITS_OF_BYTE, _BITS_OF_DIGIT = 8, 6  # of base64
# A shorter text is found everywhere by chance.
_LEAST_LENGTH = 12


class Needles:
    """Secrets by their names, in every form in which they are looked for."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        short = [name for name, value in secrets.items() if len(value) < _LEAST_LENGTH]
        assert not short, f"too short to be told from other text: {short}"
        self._forms = {name: frozenset(_forms(value)) for name, value in secrets.items()}

    def __repr__(self) -> str:
        return f"Needles({sorted(self._forms)})"

    def __len__(self) -> int:
        return len(self._forms)

    def found(self, text: bytes) -> list[str]:
        """Return the names of the secrets that a text holds."""
        return sorted(name for name, forms in self._forms.items() if any(one in text for one in forms))

    def found_in(self, parts: Iterable[bytes]) -> list[str]:
        """Return the names of the secrets in a long text that comes in parts."""
        longest = max(len(one) for forms in self._forms.values() for one in forms)
        names: set[str] = set()
        rest = b""
        for part in parts:
            rest += part
            names.update(self.found(rest))
            rest = rest[-longest:]
        return sorted(names)


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    yield json.dumps(value)[1:-1].encode()
    yield quote(value, safe="").encode()
    yield quote_plus(value).encode()
    yield raw.hex().encode()
    for encode in (b64encode, urlsafe_b64encode):
        yield from _in_base64(raw, encode)


def _in_base64(raw: bytes, encode: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield the digits that are the secret's alone, wherever in a longer text it stands."""
    for before in range(3):
        first = -(-before * _BITS_OF_BYTE // _BITS_OF_DIGIT)
        last = (before + len(raw)) * _BITS_OF_BYTE // _BITS_OF_DIGIT
        yield encode(b"\0" * before + raw)[first:last]
