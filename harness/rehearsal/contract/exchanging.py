"""What is sent to an operation and what it answers, as released and as it is now. Pure.

A request is read by the service: it must take all that it took. An answer is read by clients that were built
from the release: they pass over fields that they do not know, and the service sends none that it does not
name.
"""

from __future__ import annotations

from collections.abc import Iterator

from rehearsal.contract.findings import CALLERS, READERS, Finding, doubt, place_of, text_of, told
from rehearsal.contract.fitting import Fit, Misfit, fit, said_there
from rehearsal.contract.openapi import Part
from rehearsal.contract.schemas import Schema, UndecidableError, closed, defaults, opened, plain


def taken(operation: str, was: Part, now: Part, what: str) -> Iterator[Finding]:
    """Yield what `was` took and `now` refuses; both are schemas, `what` says of what."""
    fitted = _fit(now, was, tolerant=False)
    for misfit in fitted.misfits:
        place = f"{what} {place_of(misfit.pointer)}".rstrip()
        match misfit.rule:
            case "required":
                sentence, observed = f"{place} is required", "it is refused"
            case "additionalProperties":
                sentence, observed = f"{place} is not taken", "a request with it is refused"
            case _:
                sentence = f"{place} may not be {misfit.example}"
                observed = _clash("it", plain(was.content, was.document), misfit)
        expected = "a request without it is taken" if misfit.rule == "required" else "it is taken"
        yield Finding(
            operation, now.pointer + misfit.pointer, misfit.rule, sentence, CALLERS, expected, observed
        )
    yield from _doubts(operation, now.pointer, now, fitted)
    if not fitted.doubt:
        refused = tuple(misfit.pointer for misfit in fitted.misfits)
        yield from _left_out(operation, was, now, what, refused)


def given(operation: str, was: Part, now: Part, what: str) -> Iterator[Finding]:
    """Yield what `now` may give that a reader of `was` does not expect; both are schemas."""
    fitted = _fit(was, now, tolerant=True)
    for misfit in fitted.misfits:
        sentence = f"{what} {_given(misfit)}"
        yield Finding(
            operation,
            was.pointer + misfit.pointer,
            misfit.rule,
            sentence,
            READERS,
            expected="it is always there" if misfit.rule == "required" else f"{misfit.rule} {misfit.limit}",
            observed=_given_now(now, misfit),
        )
    yield from _doubts(operation, was.pointer, now, fitted)


def _given(misfit: Misfit) -> str:
    place = place_of(misfit.pointer)
    if misfit.rule == "required":
        return f"may come without {place}"
    return f"may have {misfit.example} in {place}" if place else f"may be {misfit.example}"


def _fit(reader: Part, writer: Part, *, tolerant: bool) -> Fit:
    try:
        read, written = plain(reader.content, reader.document), plain(writer.content, writer.document)
        if tolerant:
            read, written = opened(read), closed(written)
    except UndecidableError as error:
        return Fit((), "" if _is_same(reader, writer) else str(error))
    return fit(read, written)


def _is_same(one: Part, other: Part) -> bool:
    """Say whether two parts are word for word the same, with all that they can refer to."""
    texts = [text_of([part.content, part.document.get("components")]) for part in (one, other)]
    return texts[0] == texts[1]


def _given_now(writer: Part, misfit: Misfit) -> str:
    if misfit.rule == "required":
        return "it may be missing"
    return _clash(misfit.example, closed(plain(writer.content, writer.document)), misfit)


def _clash(what: str, written: Schema, misfit: Misfit) -> str:
    """Return what both sides say: a further break at the same place may have the same example."""
    return f"{what} is refused by {misfit.rule} {misfit.limit}, and allowed by {said_there(written, misfit)}"


def _doubts(operation: str, pointer: str, now: Part, fitted: Fit) -> Iterator[Finding]:
    if not fitted.doubt:
        return
    try:
        observed = told(plain(now.content, now.document))
    except UndecidableError:
        # All that it can refer to: where its references lead is what could not be said.
        observed = told([now.content, now.document.get("components")])
    yield doubt(operation, pointer, fitted.doubt, observed)


def _left_out(operation: str, was: Part, now: Part, what: str, refused: tuple[str, ...]) -> Iterator[Finding]:
    """Yield where a value that is left out means something else than it did, or nobody says what."""
    means = dict(defaults(now.content, now.document, ""))
    for pointer, value in defaults(was.content, was.document, ""):
        place = f"{what} {place_of(pointer)}".rstrip()
        if pointer not in means:
            # What is refused is told already, and what is left out is nothing unless something else is said.
            if value is not None and not pointer.startswith(refused):
                why = f"{place}, left out, meant {text_of(value)}, and what it means now is not said"
                yield doubt(operation, f"{now.pointer}{pointer}", why)
        elif text_of(means[pointer]) != text_of(value):
            yield Finding(
                operation,
                f"{now.pointer}{pointer}",
                "default",
                f"{place}, left out, now means {text_of(means[pointer])}",
                CALLERS,
                expected=f"it means {text_of(value)}",
                observed=f"it means {text_of(means[pointer])}",
            )
