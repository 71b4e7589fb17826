"""What was released stays as it was: each released file is in a list, with the digest of its content.

Without it, a released file that is gone could not be told from one that never was, and whatever it promised
could be broken. The list is written by `releasing` alone. A release of an event that is withdrawn keeps its
line, so that its number is not given again. Who takes a line out by hand does so in a file of which review
sees each line; that no file can be dropped without one is what is judged here.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rehearsal.contract.checks import RELEASED
from rehearsal.core.checks import Check

FOLDER: Final = "released"  # below contract-tests/
LIST: Final = "releases.txt"
WITHDRAWN: Final = "withdrawn"
_HEAD: Final = (
    "# Every released file with its SHA-256; `nox -s release` writes this. Nothing is taken out by hand.\n"
)
_LINE: Final = re.compile(r"([0-9a-f]{64}|withdrawn)  (\S+)")
_EVENT: Final = re.compile(r"events/([^/]+)/([1-9][0-9]*)\.schema\.json")
_REPRODUCE: Final = "nox -s compatibility"

Listed = Mapping[str, str]  # digests, or WITHDRAWN, by names below released/


class UnreadableError(Exception):
    """The list cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """A released file that is not as it was released."""

    name: str
    sentence: str
    expected: str
    observed: str


def read_list(folder: Path) -> Listed:
    """Return the list of a folder with contracts. Raises UnreadableError, also when there is none."""
    try:
        lines = (folder / FOLDER / LIST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(
            f"{type(error).__name__}: there is no {FOLDER}/{LIST} that can be read"
        ) from error
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or (found[2].startswith("events/") and event_of(found[2]) is None):
            raise UnreadableError(f"line {number} of {FOLDER}/{LIST} is no digest with a released file")
        if found[2] in listed:
            raise UnreadableError(f"line {number} of {FOLDER}/{LIST} names {found[2]} once more")
        listed[found[2]] = found[1]
    return listed


def write_list(folder: Path, withdrawn: Listed) -> None:
    """List what is released now, and what was withdrawn before."""
    kept = {name: said for name, said in withdrawn.items() if said == WITHDRAWN}
    listed = {**kept, **there(folder)}
    lines = (f"{listed[name]}  {name}\n" for name in sorted(listed, key=_order))
    (folder / FOLDER / LIST).write_text(_HEAD + "".join(lines), encoding="utf-8")


def there(folder: Path) -> Listed:
    """Return the digests of all released files that are there."""
    root = folder / FOLDER
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path != root / LIST
    }


def changes(listed: Listed, found: Listed) -> Iterator[Change]:
    """Yield what is gone, was edited or was put there by hand, and what the list itself leaves out."""
    for name, digest in listed.items():
        if digest == WITHDRAWN:
            if name in found:
                yield Change(name, "it was withdrawn, and is there", "no such file", found[name])
        elif name not in found:
            sentence = "it was released, and is gone: what it promised would be held by nothing"
            yield Change(name, sentence, digest, "no such file")
        elif found[name] != digest:
            yield Change(name, "it was edited after it was released", digest, found[name])
    for name in found.keys() - listed.keys():
        yield Change(name, "it is there, and no release has put it there", "a line of the list", "none")
    yield from _gaps(listed)


def event_of(name: str) -> tuple[str, int] | None:
    """Return the type and the number of an event's release; None for another file."""
    found = _EVENT.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def judge_released(folder: Path) -> Iterator[Check]:
    """Yield whether all that was released is as it was."""
    try:
        listed = read_list(folder)
    except UnreadableError as error:
        yield RELEASED.invalid("all releases", str(error))
        return
    changed = sorted(changes(listed, there(folder)), key=lambda one: _order(one.name))
    yield from (_failed(one) for one in changed)
    if changed:
        return
    if not listed:
        yield RELEASED.invalid("all releases", "nothing was released")
        return
    withdrawn = sum(digest == WITHDRAWN for digest in listed.values())
    but = f"; {withdrawn} were withdrawn" if withdrawn else ""
    yield RELEASED.passed(
        "all releases", f"its {len(listed) - withdrawn} files are as they were released{but}"
    )


def _gaps(listed: Listed) -> Iterator[Change]:
    numbers: dict[str, set[int]] = defaultdict(set)
    for type_, number in filter(None, map(event_of, listed)):
        numbers[type_].add(number)
    for type_, known in numbers.items():
        for number in sorted(set(range(1, max(known))) - known):
            name = f"events/{type_}/{number}.schema.json"
            yield Change(
                name, f"release {max(known)} is listed, and this one is not", "a line of the list", "none"
            )


def _failed(one: Change) -> Check:
    return RELEASED.failed(
        one.name,
        one.sentence,
        expected=one.expected,
        observed=one.observed,
        reproduce=_REPRODUCE,
        source=f"contract-tests/{FOLDER}/{LIST}",
    )


def _order(name: str) -> tuple[str, int]:
    # The tenth release of an event comes after the ninth.
    event = event_of(name)
    return (f"events/{event[0]}/", event[1]) if event else (name, 0)
