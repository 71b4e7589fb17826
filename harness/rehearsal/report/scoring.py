"""The readiness score: how much of what a release promises this run has shown. Pure.

Production's guide asserts 9.1 of 10. Here a criterion counts if all checks that it is bound to were made in
this run and hold; what failed, could not look or was not run counts 0, and so does what a stage showed that
did not come to its end: the checks that it had not made yet might not hold. What no check looks at is listed
with the others. Aspects weigh the same, and so do the criteria of one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from rehearsal.core.verdicts import Verdict
from rehearsal.report.model import AspectReport, CheckReport, CriterionReport, ScoreReport

GUIDE_SCORE: Final = 9.1  # production's guide, "Production Readiness Score"
_BEST: Final = 10.0


@dataclass(frozen=True, slots=True)
class Criterion:
    """One promise; `checks` are the ids of the checks that show it, none if nothing looks at it yet."""

    aspect: str
    promise: str
    checks: tuple[str, ...] = ()


# The guide's five aspects, then four that it leaves out.
CRITERIA: Final = (
    Criterion("Containerization", "what is deployed becomes ready, with its newest image", ("deploy.ready",)),
    Criterion("Containerization", "no container has rights that it does not need", ("deploy.hardened",)),
    Criterion(
        "Orchestration", "what runs here is production but for explained differences", ("deploy.fidelity",)
    ),
    Criterion("Orchestration", "killed pods come back, and the shop with them", ("chaos.recovery",)),
    Criterion(
        "Orchestration",
        "an autoscaler under load scales up and down as its targets ask",
        ("load.scaled", "load.down"),
    ),
    Criterion("Orchestration", "no manifest keeps an autoscaler from scaling", ("deploy.scalable",)),
    Criterion("CI/CD", "services promise what is committed", ("contract.drift",)),
    Criterion("CI/CD", "services do what they promise", ("contract.fuzz", "contract.covered")),
    Criterion(
        "CI/CD", "events are as they are committed", ("events.known", "events.valid", "events.dead_letters")
    ),
    Criterion(
        "CI/CD",
        "a release breaks none of its clients",
        ("contract.released", "contract.breaking", "contract.events", "contract.accepted"),
    ),
    Criterion(
        "CI/CD",
        "services fit each other, event by event and call by call",
        ("contract.consumers", "contract.expectations"),
    ),
    Criterion("Monitoring", "every target is scraped, and every alert has something to look at"),
    Criterion("Monitoring", "an order's logs and trace are found"),
    Criterion(
        "Security",
        "without a token or with a wrong one nobody is let in",
        ("contract.token", "contract.authorised"),
    ),
    Criterion("Security", "nobody gets what is another's", ("contract.owner", "contract.authorised")),
    Criterion(
        "Security",
        "no secret is a plain value in a manifest; what runs as root is excused by name",
        ("deploy.hardened",),
    ),
    Criterion(
        "Zero downtime",
        "shoppers at a steady rate are answered as promised, in time",
        ("load.accepted", "load.latency"),
    ),
    Criterion(
        "Zero downtime",
        "manifests let pods leave after their traffic, and restart for their own sake only",
        ("deploy.graceful",),
    ),
    Criterion("Zero downtime", "a new version is rolled out without a failed request"),
    Criterion(
        "Data safety",
        "no acknowledged order is lost or doubled",
        ("chaos.acknowledged", "chaos.unasked", "chaos.keys"),
    ),
    Criterion(
        "Data safety",
        "nobody is charged twice, nothing is oversold",
        ("chaos.money", "chaos.stock", "chaos.last_unit"),
    ),
    Criterion(
        "Data safety",
        "every event is published once and takes effect once",
        ("chaos.published", "chaos.effects", "chaos.taken", "chaos.steps"),
    ),
    Criterion("Data safety", "events come once and in order", ("events.identity", "events.sequence")),
    Criterion("Recovery", "every order ends, whatever was broken", ("chaos.stuck", "chaos.ended")),
    Criterion("Recovery", "the shop recovers in time from every fault of this run", ("chaos.recovery",)),
    Criterion("Recovery", "a backup can be restored"),
    Criterion("Cost", "an autoscaler asks for no more pods than its formula gives", ("load.formula",)),
)


def score(
    checks: Sequence[CheckReport], criteria: Sequence[Criterion] = CRITERIA, cut_off: Collection[str] = ()
) -> ScoreReport:
    """Return the score of a run's checks; `cut_off` are stages that did not come to their end."""
    judged = [(one.aspect, _judge(one, checks, cut_off)) for one in criteria]
    aspects = tuple(
        _aspect(name, tuple(criterion for aspect, criterion in judged if aspect == name))
        for name in dict.fromkeys(aspect for aspect, _ in judged)
    )
    mean = sum(one.score for one in aspects) / len(aspects)
    return ScoreReport(score=round(mean, 1), best=_BEST, guide=GUIDE_SCORE, aspects=aspects)


def _aspect(name: str, criteria: tuple[CriterionReport, ...]) -> AspectReport:
    shown = sum(one.shown for one in criteria)
    return AspectReport(name=name, score=round(_BEST * shown / len(criteria), 1), criteria=criteria)


def _judge(criterion: Criterion, checks: Sequence[CheckReport], cut_off: Collection[str]) -> CriterionReport:
    shown, why = _found(criterion, checks, cut_off)
    return CriterionReport(promise=criterion.promise, checks=criterion.checks, shown=shown, why=why)


def _found(criterion: Criterion, checks: Sequence[CheckReport], cut_off: Collection[str]) -> tuple[bool, str]:
    if not criterion.checks:
        return False, "no check looks at it yet"
    of_id = {id_: [one for one in checks if one.id == id_] for id_ in criterion.checks}
    if missing := [id_ for id_, made in of_id.items() if not made]:
        which = "" if len(missing) == len(of_id) else f": {', '.join(missing)}"
        return False, f"not measured in this run{which}"
    made = [one for some in of_id.values() for one in some]
    bad = [one for one in made if one.verdict is not Verdict.PASS]
    if bad:
        return False, f"{bad[0].verdict} {bad[0].id} of {bad[0].subject}"
    if stage := next((one.stage for one in made if one.stage in cut_off), ""):
        return False, f"{stage} did not come to its end"
    return True, f"{len(made)} checks hold"
