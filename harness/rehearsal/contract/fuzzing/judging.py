"""What runs of a fuzzer are worth: what was found, by operation, and whether they reached anything. Pure."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rehearsal.contract.checks import AUTHORISED, COVERED, FUZZ
from rehearsal.contract.fuzzing.reading import Failure, Seen
from rehearsal.contract.fuzzing.running import User
from rehearsal.core.checks import Check

_OF_RIGHTS = (
    "ignored_auth", "object_level_authorization", "StrangersChangeNothing", "RightsAreKept"
)  # fmt: skip
_PROMISES = {
    "not_a_server_error": "no request makes it answer 5xx",
    "status_code_conformance": "only documented statuses",
    "content_type_conformance": "only documented content types",
    "response_headers_conformance": "the documented headers",
    "response_schema_conformance": "answers as their schema says",
    "negative_data_rejection": "what the document forbids is refused",
    "positive_data_acceptance": "what the document allows is taken",
    "missing_required_header": "a request without a required header is refused",
    "unsupported_method": "405 for a method that it does not have",
    "allow_header_conformance": "Allow names the methods that it has",
    "use_after_free": "what was deleted is gone",
    "ensure_resource_availability": "what was made is there",
    "ignored_auth": "nobody gets in without a good token",
    "object_level_authorization": "nobody reads another user's object",
    "StrangersChangeNothing": "nobody changes another user's object",
    "RightsAreKept": "only who has the right to",
    "ChangesAreSeen": "what a success has changed is there to be read",
    "PagesGoOn": "each page goes on where the one before it ended",
}
# Of a live service's links: few scenarios are made of it, and which links a seed follows is chance; that most
# cannot be followed is not. The services' own suites follow them all; those take longer and are no part of a
# run (`nox -s fuzz`).
LEAST_LINKS = 0.5
_SHOWN = 3  # failures of an operation that a check tells; the evidence has all
_SHOWN_CHARACTERS = 300
_TOO_MANY = 429
_NOBODY = (401, 403)
_NOT_FOUND = 404
_GOOD = range(200, 400)


@dataclass(frozen=True, slots=True)
class Run:
    """One run on a service: as whom, and what it has shown."""

    user: User
    seed: int
    seen: Seen


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Something that no run has reached: an operation, or the links of all."""

    operation: str
    sentence: str
    observed: str


def told(seen: Seen) -> list[str]:
    """Return all that is wrong with one run, a line for each; what it has not reached, others may have."""
    lines = [seen.unfinished] if seen.unfinished else []
    lines += [f"{one.operation}: {one.title} ({one.check}): {one.message}" for one in seen.failures]
    return [*lines, *seen.errors]


def shortfalls(runs: Sequence[Seen], least_links: float = 1.0) -> list[Shortfall]:
    """Return what all runs together have not reached: "green but empty", by operation, and links by share."""
    found = []
    for name in sorted(frozenset().union(*(one.names for one in runs))):
        counts = sum((Counter(one.statuses.get(name, {})) for one in runs), Counter[int]())
        if not any(status in _GOOD for status in counts):
            found.append(Shortfall(name, _why(counts), _counted(counts)))
        elif all(name in one.empty for one in runs if name in one.names):
            why = "; ".join(dict.fromkeys(one.empty[name] for one in runs if name in one.names))
            found.append(Shortfall(name, f"hardly any sound request was taken: {why}", _counted(counts)))
    followed, known = links(runs)
    if followed < least_links * known:
        sentence = f"{known - followed} of {known} links from one operation to another were never followed"
        found.append(Shortfall("links", sentence, "; ".join(sorted(_followed(runs))) or "none was"))
    return found


def more_to_reach(runs: Sequence[Seen], *, every_link: bool) -> bool:
    """Return whether one more seed is worth its time: the second may be for the last links alone.

    The third is for what would be a finding: a service has links that few seeds follow.
    """
    least = 1.0 if every_link and len(runs) == 1 else LEAST_LINKS
    return not runs[-1].unfinished and bool(shortfalls(runs, least))


def links(runs: Sequence[Seen]) -> tuple[int, int]:
    """Return how many links were followed by all runs together, and how many there are.

    Each run numbers its links anew, and knows some of them twice: what all have followed counts in pairs.
    """
    pairs = len(_followed(runs))
    counts = [(min(one.links, max(len(one.followed), pairs)), one.links) for one in runs]
    return max(counts, key=lambda one: one[0] - one[1], default=(0, 0))


def _followed(runs: Sequence[Seen]) -> frozenset[str]:
    """Return between which operations links were followed: of `A -> [201] Name -> B`, `A -> B`."""
    links = (link.split(" -> ") for one in runs for link in one.followed)
    return frozenset(f"{link[0]} -> {link[-1]}" for link in links)


def _why(counts: Mapping[int, int]) -> str:
    sent = sum(counts.values())
    if sum(counts.get(status, 0) for status in _NOBODY) == sent:
        return "nobody was let in"
    if 2 * counts.get(_TOO_MANY, 0) > sent:
        return "the limit on requests let too few through"
    if 2 * counts.get(_NOT_FOUND, 0) > sent:
        return "nothing that was asked for was there"
    return "no request was taken"


def _counted(counts: Mapping[int, int]) -> str:
    return ", ".join(f"{status} {many} times" for status, many in sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class Subject:
    """A service that was fuzzed, by one way, with the file that shows what was found."""

    service: str
    way: str  # "directly"
    evidence: str
    reproduce: str

    def judge(self, runs: Sequence[Run]) -> Iterator[Check]:
        """Yield what the runs are worth."""
        name = f"{self.service} {self.way}"
        broken = [f"as {one.user.name}: {why}" for one in runs for why in _why_invalid(one.seen)]
        broken += _why_untried([one.seen for one in runs])
        failures = [failure for one in runs for failure in one.seen.failures]
        if broken or not runs:
            yield from unseen(name, broken[0] if broken else "no run was made", failures)
        yield from self.judge_failures(failures)
        if not failures and runs and not broken:
            yield FUZZ.passed(name, f"{_said(runs)} kept every promise", observed=_limited(runs))
        if not any(map(_is_of_rights, failures)) and runs and not broken:
            yield AUTHORISED.passed(name, f"as {_names(runs)}: nobody got what is not theirs")
        yield from self._covered(name, [one.seen for one in runs if not one.user.forbidden], broken)

    def judge_failures(self, failures: Sequence[Failure]) -> Iterator[Check]:
        """Yield one check for each operation that breaks promises, and one more for rights."""

        def key(one: Failure) -> tuple[str, bool]:
            return one.operation, _is_of_rights(one)

        for (operation, of_rights), group in groupby(sorted(failures, key=key), key=key):
            found = list(group)
            more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
            yield (AUTHORISED if of_rights else FUZZ).failed(
                f"{self.service} {operation}",
                f"{self.way}: {found[0].title}{more}",
                expected="; ".join(dict.fromkeys(_PROMISES.get(one.check, one.check) for one in found)),
                observed="; ".join(_observed(one) for one in found[:_SHOWN]),
                evidence=(self.evidence,),
                reproduce=self.reproduce,
            )

    def _covered(self, name: str, seen: Sequence[Seen], broken: Sequence[str]) -> Iterator[Check]:
        if broken or not seen:
            yield COVERED.invalid(name, "what was reached is not known: a run did not come to its end")
            return
        missed = shortfalls(seen, LEAST_LINKS)
        for one in missed:
            yield COVERED.failed(
                f"{self.service} {one.operation}",
                f"{self.way}: {one.sentence}",
                expected="each operation takes sound requests, most links are followed",
                observed=one.observed,
                evidence=(self.evidence,),
                reproduce=self.reproduce,
            )
        if not missed:
            operations, (followed, known) = seen[0].operations[0], links(seen)
            walked = f", {followed} of {known} links were followed" if known else ""
            yield COVERED.passed(name, f"{operations} operations took sound requests{walked}")


def unseen(name: str, why: str, failures: Sequence[Failure] = ()) -> Iterator[Check]:
    """Yield what nobody can say of a service, by its name and way, that was not fuzzed to the end."""
    sentence = f"it could not be fuzzed: {why}"
    yield FUZZ.invalid(name, sentence)
    # Who gets what of the other services says nothing about this one.
    if not any(map(_is_of_rights, failures)):
        yield AUTHORISED.invalid(name, sentence)


def _is_of_rights(one: Failure) -> bool:
    return one.check in _OF_RIGHTS


def _why_invalid(seen: Seen) -> Iterator[str]:
    if seen.unfinished:
        yield seen.unfinished
    elif seen.errors:
        yield f"requests came to nothing: {'; '.join(seen.errors)}"
    elif not seen.cases:
        yield "no request was made"


def _why_untried(runs: Sequence[Seen]) -> Iterator[str]:
    # The first run is one of all operations; what others leave out, it has tried.
    tested, selected = runs[0].operations if runs else (0, 0)
    if tested < selected:
        yield f"{selected - tested} of {selected} operations were not tried"


def _said(runs: Sequence[Run]) -> str:
    return f"{sum(one.seen.cases for one in runs)} requests to {runs[0].seen.operations[0]} operations"


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(dict.fromkeys(one.user.name for one in runs))


def _limited(runs: Sequence[Run]) -> str:
    return f"429 came {sum(one.seen.count(_TOO_MANY) for one in runs)} times; seed {runs[0].seed}"


def _observed(one: Failure) -> str:
    message = " ".join(one.message.split())[:_SHOWN_CHARACTERS]
    exchange = one.exchange
    return message + (f" [{exchange.method} {exchange.url} -> {exchange.status}]" if exchange else "")


def evidence(runs: Sequence[Run]) -> str:
    """Return what the runs have shown, as the text of a file: with each failure a request that shows it."""
    content = [
        {
            "user": one.user.name,
            "seed": one.seed,
            "unfinished": one.seen.unfinished,
            "requests": one.seen.cases,
            "statuses": one.seen.statuses,
            "links": {"known": one.seen.links, "followed": sorted(one.seen.followed)},
            "failures": [_shown(failure) for failure in one.seen.failures],
        }
        for one in runs
    ]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _shown(one: Failure) -> Mapping[str, object]:
    shown: dict[str, object] = {
        "operation": one.operation, "check": one.check, "code": one.code, "title": one.title,
        "message": one.message,
    }  # fmt: skip
    if one.exchange is not None:
        sent = [f"{name}: {value}" for name, value in one.exchange.headers.items()]
        words = ["curl", "-i", "-X", one.exchange.method, *(word for text in sent for word in ("-H", text))]
        words += ["--data-binary", one.exchange.body] if one.exchange.body else []
        shown["request"] = shlex.join([*words, one.exchange.url])
        shown["status"], shown["answer"] = one.exchange.status, one.exchange.answer
    return shown
