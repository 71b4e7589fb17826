"""From a run's events to its report. Pure.

A run that was killed has events but no end: its report says so and has what was said until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rehearsal.core.errors import HarnessError
from rehearsal.core.redaction import redact
from rehearsal.core.verdicts import Ending, Verdict, exit_code_of_ending
from rehearsal.report.model import (
    CheckReport,
    FaultReport,
    NoticeReport,
    NotLookedAtReport,
    Report,
    Run,
    StageReport,
)
from rehearsal.report.phrasing import stage_again, there
from rehearsal.report.scoring import score

Record = Mapping[str, Any]

_STAGE_EVENTS = ("StageStarted", "StageFinished")


def build(records: Iterable[Record]) -> Report:
    """Return the report of the run whose journal this is. Raises HarnessError when no run began in it."""
    every = [_printable(record) for record in records]
    begun = next((one for one in every if one["event"] == "RunStarted"), None)
    if begun is None:
        raise HarnessError(
            "RUN_WITHOUT_BEGIN",
            "the events do not say which run they are of",
            hint="The run was cut off before its first event; start a new one.",
        )
    end = next((one for one in every if one["event"] == "RunFinished"), None)
    ending = Ending(end["ending"]) if end else Ending.INTERRUPTED
    stages = tuple(_stages(every))
    run = _run(begun, every[-1], end)
    checks = tuple(_check(run, one) for one in every if one["event"] == "CheckFinished")
    return Report(
        schema_version=1,
        verdict=ending,
        exit_code=int(exit_code_of_ending(ending)),
        complete=end is not None,
        run=run,
        stages=stages,
        checks=checks,
        score=score(checks, cut_off=[one.name for one in stages if _is_cut_off(one, checks)]),
        faults=tuple(_fault(one) for one in every if one["event"] == "FaultMade"),
        not_looked_at=tuple(_not_looked_at(every, stages, checks)),
        notices=tuple(_notice(one) for one in every if one["event"] == "Notice"),
    )


def _printable(value: Any) -> Any:
    """Return what may be shared, and is text: a name that was not UTF-8 has halves of characters."""
    if isinstance(value, str):
        return redact(value.encode("utf-8", "backslashreplace").decode())
    if isinstance(value, Mapping):
        return {key: _printable(one) for key, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, list) else value


def _run(begun: Record, last: Record, end: Record | None) -> Run:
    seconds = end["seconds"] if end else _between(begun, last)
    return Run(**begun["facts"], started=datetime.fromisoformat(begun["at"]), seconds=_rounded(seconds))


def _between(first: Record, last: Record) -> float:
    at, until = (datetime.fromisoformat(one["at"]) for one in (first, last))
    return (until - at).total_seconds()


def _stages(records: list[Record]) -> Iterable[StageReport]:
    began = {one["stage"]: one for one in records if one["event"] == "StageStarted"}
    ended = {one["stage"]: one for one in records if one["event"] == "StageFinished"}
    for name in dict.fromkeys(one["stage"] for one in records if one["event"] in _STAGE_EVENTS):
        start, end = began.get(name, {}), ended.get(name, {})
        # Of a stage that was cut off, what was said last is all that is known of its end.
        seconds = end["seconds"] if end else _between(start, records[-1])
        yield StageReport(
            name=name,
            summary=start.get("summary", ""),
            ending=Ending(end.get("ending", Ending.INTERRUPTED)),
            reason=end.get("reason", "it had not come to its end"),
            seconds=_rounded(seconds),
            limit_seconds=start.get("limit_seconds", 0.0),
            artefacts=tuple(end.get("artefacts", ())),
            started=datetime.fromisoformat(start["at"]).timestamp() if start else None,
        )


def _check(run: Run, record: Record) -> CheckReport:
    check = CheckReport(stage=record["stage"], **record["check"])
    if check.verdict is Verdict.PASS:
        return check
    # Where its engine knows nothing shorter, it is the whole stage with the same draws.
    again = check.reproduce or stage_again(run, check.stage)
    return check.model_copy(update={"reproduce": there(run, again)})


def _is_cut_off(stage: StageReport, checks: tuple[CheckReport, ...]) -> bool:
    """Whether a stage ended otherwise than by its checks: some may not have been made."""
    verdicts = {check.verdict.value for check in checks if check.stage == stage.name}
    return stage.ending is not Ending.PASS and stage.ending.value not in verdicts


def _fault(record: Record) -> FaultReport:
    return FaultReport(title=record["title"], start=record["start"], end=record["end"])


def _notice(record: Record) -> NoticeReport:
    return NoticeReport(level=record["level"], message=record["message"])


def _not_looked_at(
    records: list[Record], stages: tuple[StageReport, ...], checks: tuple[CheckReport, ...]
) -> Iterable[NotLookedAtReport]:
    for stage in stages:
        if stage.ending is Ending.NOT_RUN:
            yield NotLookedAtReport(what=f"stage {stage.name}", why=stage.reason)
    for check in checks:
        if check.verdict is Verdict.INVALID:
            yield NotLookedAtReport(what=f"{check.id} of {check.subject}", why=check.sentence)
    for record in records:
        if record["event"] == "NotLookedAt":
            yield NotLookedAtReport(what=record["what"], why=record["why"])


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
