"""Taking secrets out of text before it is written where it may be shared: reports, artefacts.

Two layers. `redact` knows the shapes in which secrets stand: tokens, passwords in URLs, in headers, in
settings, in JSON and in what Python and Go print. `Redaction` also knows values, in whatever shape. JSON
stays JSON: nothing is taken beyond the end of a string. Files are left to `rehearsal.stages.artefacts`.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
# A shorter value may be a word of any text. Those that this project makes have 32 characters.
_SHORTEST_VALUE = 12

_KEY = (
    r"(?:passw(?:or)?d|passphrase|requirepass|secret|token"
    r"|(?:api|access|private|purge|secret)[_ -]?key)"
)
# Between a name and a value in quotes; in a list, too, as headers have their values.
_IS = r"[ \t]{0,8}[:=][ \t]{0,8}(?:\[\s{0,40})?[bu]?"
# After a quote: it opens a value. What ends one is followed by these, as in `"Your password:", "next"`.
_OPENS = r"(?![\s,:\]}])"
_IN_QUOTES = r'(?:[^"\\\n]|\\.)+'
# Within a JSON string, which an unescaped quote ends; deeper quotes have more backslashes, an odd number.
_IN_ESCAPED = r'(?:[^"\\\n]|\\+(?=[^"\\\n])[^"\\\n]|(?P=slashes)(?:\\\\)+")+'
_IN_SINGLE = r"""(?:[^'"\\\n]|\\[^nrt\n])+"""
_BARE = r"""(?:[^\s"'\\,;&]|\\(?!\\{0,16}[nrt"'])[^\s"])+"""

# At the beginning of a word, not at each place of a long one.
_WEB_TOKEN = re.compile(r"(?:(?<![\w-])|(?<=\\[nrt])|(?<=%3D))eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
_BEARER = re.compile(r"(?i)(bearer )(?=\S*\d|\S{20})[\w.~+/=-]{8,}")
# The scheme stays, for it may be what is wrong.
_AUTHORIZATION = re.compile(
    r"""(?i)(authorization\\*["']?\s{0,8}[:=,]\s{0,8}\[?\\*["']?"""
    r"(?:basic|bearer|digest|negotiate|apikey)\s)[\w.~+/=:-]{4,}"
)
# user:password@host; a reference such as $(REDIS_PASSWORD) is none.
_IN_URL = re.compile(r"""(?<=://)[^\s/:@"'\\]*:(?!\$[({])[^\s/@"'\\]+(?=@)""")
_NAMED = tuple(
    map(
        re.compile,
        (
            rf'(?i)({_KEY}"{_IS}"){_IN_QUOTES}',  # of JSON: the name is in quotes, too
            rf'(?i)({_KEY}{_IS}"){_OPENS}{_IN_QUOTES}(?=")',
            rf"""(?i)({_KEY}\\*["']?{_IS}(?P<slashes>\\(?:\\\\)*)"){_OPENS}{_IN_ESCAPED}""",
            rf"""(?i)({_KEY}\\*["']?{_IS}'){_OPENS}{_IN_SINGLE}""",
        ),
    )
)
_SETTING = re.compile(
    rf"(?i)(?P<key>{_KEY})(?P<is>[ \t]?=[ \t]?(?!=)|:[ \t]{{0,8}}|(?<=requirepass) )(?P<value>{_BARE})"
)
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\w+/=\s\\:,-]{0,16384}?(-----END [A-Z ]*PRIVATE KEY-----)"
)
_ENDS_A_LINE = re.compile(r"""\s*(?:$|[\n"'}]|\\+[nrt"'])""")
_BEGINS_A_LINE = re.compile(r"(?:^|\n|\\n|\{)[ \t>|#-]*[\w.-]*$")
_LOOK_BACK = 80  # characters: indentation and the beginning of a name
_SAYS_NOTHING = frozenset(("none", "null", "nil", "true", "false", HIDDEN))
_LONG, _LOOKS_DRAWN = 20, 8  # characters of what is no word

# Looking for these words costs a hundredth of the patterns, of which each needs one.
_WORDS = (
    *("passw", "passphrase", "requirepass", "secret", "token"),
    *(
        f"{kind}{between}key"
        for kind in ("api", "access", "private", "purge")
        for between in ("", "_", " ", "-")
    ),
)
# Where a value may be: in lower case, because ignoring it takes five times as long.
_NAME = rf"""{_KEY}(?=\\*["']?[ \t]{{0,8}}[:=]|(?<=requirepass) )"""
_NAME_IN_LOWER_CASE, _NAME_IN_ANY = re.compile(_NAME), re.compile(rf"(?i){_NAME}")


def redact(text: str) -> str:
    """Return the text with every secret of a known shape replaced."""
    if "PRIVATE KEY-----" in text:
        text = _PRIVATE_KEY.sub(rf"\1{HIDDEN}\2", text)
    lowered = text.lower()
    if "eyJ" in text:
        text = _WEB_TOKEN.sub(HIDDEN, text)
    if "bearer" in lowered:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    if "authorization" in lowered:
        text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    if "://" in text and "@" in text:
        text = _IN_URL.sub(HIDDEN, text)
    return _redact_named(text) if any(word in lowered for word in _WORDS) else text


@dataclass(frozen=True)
class Redaction:
    """Hides these values as well as what has the shape of a secret. A short value is not looked for."""

    values: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        for form in self._forms:
            # `in` is several times as fast as a `replace` that finds nothing.
            if form in text:
                text = text.replace(form, HIDDEN)
        return redact(text)

    @cached_property
    def _forms(self) -> tuple[str, ...]:
        """The longest first: one may be within another."""
        every = {form for value in self.values if len(value) >= _SHORTEST_VALUE for form in _forms_of(value)}
        return tuple(sorted(every, key=lambda form: (-len(form), form)))


def _forms_of(value: str) -> Iterator[str]:
    once = json.dumps(value)[1:-1]
    yield from (value, once, json.dumps(once)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    yield from (quote(value), quote(value, safe=""), quote_plus(value), html.escape(value))
    for before in range(3):
        # Whatever stands before and after it, these characters of base64 are made of the value alone.
        raw = bytes(before) + value.encode()
        encoded = b64encode(raw).decode()[-(-before * 4 // 3) : len(raw) * 4 // 3]
        yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


def _redact_named(text: str) -> str:
    """Return the text without the values that stand behind the name of a secret."""
    lowered = text.lower()
    # One letter becomes two in lower case; where it is, places would not be the same.
    same = len(lowered) == len(text)
    names = _NAME_IN_LOWER_CASE.finditer(lowered) if same else _NAME_IN_ANY.finditer(text)
    parts, end = [], 0
    for name in names:
        if name.start() < end:
            continue  # within a value
        if found := next(filter(None, (one.match(text, name.start()) for one in _NAMED)), None):
            parts += [text[end : found.end(1)], HIDDEN]
            end = found.end()
        elif (found := _SETTING.match(text, name.start())) and _has_value(found):
            parts += [text[end : found.start("value")], HIDDEN]
            end = found.end()
    return "".join([*parts, text[end:]])


def _has_value(found: re.Match[str]) -> bool:
    """Whether a setting holds a secret; else it holds nothing, or a reference, or is prose."""
    value = found["value"]
    if value.lower() in _SAYS_NOTHING or value.startswith(("$(", "${", "{", "[", "<")):
        return False
    # "password: wrong" is prose in the middle of a line, and a setting where it is all of it.
    return found["is"] == ":" or not found["is"].startswith(":") or _is_setting(found)


def _is_setting(found: re.Match[str]) -> bool:
    key, value = found["key"], found["value"]
    if key.lower().endswith("key") or key.isupper() or _looks_drawn(value):
        return True
    begin = max(0, found.start() - _LOOK_BACK)
    before = ("," if begin else "") + found.string[begin : found.start()]
    return bool(_BEGINS_A_LINE.search(before) and _ENDS_A_LINE.match(found.string, found.end()))


def _looks_drawn(value: str) -> bool:
    if len(value) >= _LONG:
        return True
    mixed = any(map(str.isdigit, value)) or (value != value.lower() and value[1:] != value[1:].lower())
    return len(value) >= _LOOKS_DRAWN and mixed
