"""The table of trials as a page of the documentation has it. Pure, but for replacing it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from rehearsal.core.errors import ConfigurationError
from rehearsal.detection.model import Family
from rehearsal.detection.scoring import Outcome
from rehearsal.detection.trials import CONTROL, Looks, Trial

PAGE: Final = Path("docs", "reference", "detection.md")
_BEGIN: Final = "<!-- table -->\n"
_END: Final = "<!-- /table -->\n"
_SHORT: Final = 7  # characters of a commit
_COLUMN: Final = re.compile(r"(?<!\\)\|")
_OF_CONTROLS: Final = (4, 7)  # columns: before looks were counted, and since
_OF_DEFECTS: Final = 8
_SHOWN: Final = 3  # things that were named


def summary(trials: Sequence[Trial]) -> str:
    """Return what the trials of defects come to, in a sentence."""
    planted = [one for one in trials if not one.is_control]
    counts = [
        f"{sum(one.outcome is outcome for one in planted)} {outcome.value}"
        for outcome in (Outcome.FOUND, Outcome.MISSED, Outcome.VOID, Outcome.NOT_LOOKED)
    ]
    mean = sum(one.score for one in planted) / len(planted) if planted else 0.0
    return f"{len(planted)} defects planted: {', '.join(counts)}; mean score {mean:.2f}"


def table(trials: Sequence[Trial], families: Iterable[Family], looks: Mapping[str, Looks]) -> str:
    """Return the trials as Markdown: each defect in the order of `families`, each control with all its looks.

    They may be of several commits: a row says its own, of which its place was drawn unless a seed was given.
    """
    by_name = {one.family: one for one in trials if not one.is_control}
    planted = [(by_name[one.name], one) for one in families if one.name in by_name]
    controls = sorted((one for one in trials if one.is_control), key=lambda one: one.detector)
    lines = [
        f"{summary([one for one, _ in planted])}.",
        "",
        "| defect | magnitude | planted in | found by | named | score | s | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(one, family) for one, family in planted),
        "",
        "| looked at unbroken | newest outcome | looks | of them not clean | counted until | s | commit |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_control(one, looks.get(one.detector, Looks())) for one in controls),
    ]
    return "\n".join(lines) + "\n"


def read(page: Path) -> list[Trial]:
    """Return the trials of the page's table, as far as it has them: those of logs that are gone."""
    return [_trial(row) for row in _rows(page) if len(row) in (*_OF_CONTROLS, _OF_DEFECTS)]


def read_looks(page: Path) -> dict[str, Looks]:
    """Return what the page's table has counted of each detector's controls."""
    rows = [row for row in _rows(page) if len(row) in _OF_CONTROLS]
    return {row[0]: _looks(row) for row in rows}


def _rows(page: Path) -> list[list[str]]:
    content = page.read_text("utf-8").partition(_BEGIN)[2].partition(_END)[0]
    lines = [line[2:-2] for line in content.splitlines() if line.startswith("| ")]
    rows = [[_plain(cell) for cell in _COLUMN.split(line)] for line in lines]
    return [row for row in rows if row[-1] not in ("commit", "---")]


def _looks(row: Sequence[str]) -> Looks:
    if len(row) == _OF_CONTROLS[0]:  # which did not count: its newest is all that is known
        return Looks(1, int(_outcome_of(row[1]) is Outcome.VOID))
    return Looks(int(row[2]), int(row[3].strip("*")), row[4])


def _outcome_of(told: str) -> Outcome:
    return Outcome(told.partition(": ")[0])


def _trial(row: Sequence[str]) -> Trial:
    commit, _, seed = row[-1].partition(", seed ")
    if len(row) in _OF_CONTROLS:
        detector, told = row[0], row[1]
        family, site, score = CONTROL, "", 0.0
    else:
        family, _, site, detector, told = row[:5]
        score = float(row[5])
    found = not told.startswith("**") and family != CONTROL
    outcome, _, said = (Outcome.FOUND.value, "", "") if found else told.replace("**", "").partition(": ")
    return Trial(
        at="",
        tree="",
        commit=commit,
        seed=seed or commit,
        family=family,
        detector=detector,
        site=site,
        wanted="",
        outcome=Outcome(outcome),
        score=score,
        named=(told,) if found else (),
        blind=(),
        said=said,
        exit_code=0,
        seconds=float(row[-2]),
    )


def replace(page: Path, text: str) -> None:
    """Put the table between the page's marks. Raises ConfigurationError when it has none."""
    content = page.read_text("utf-8")
    if _BEGIN not in content or _END not in content:
        raise ConfigurationError(
            "PAGE_WITHOUT_MARKS", f"{page} has no place for the table", hint=f"Put {_BEGIN.strip()} into it."
        )
    head, _, rest = content.partition(_BEGIN)
    page.write_text(f"{head}{_BEGIN}\n{text}\n{_END}{rest.partition(_END)[2]}", "utf-8")


def _row(one: Trial, family: Family) -> str:
    more = f" and {len(one.named) - _SHOWN} more" if len(one.named) > _SHOWN else ""
    named = ("; ".join(one.named[:_SHOWN]) + more) if one.outcome is Outcome.FOUND else f"**{one.outcome}**"
    if one.outcome is not Outcome.FOUND and one.said:
        named += f": {one.said}"
    cells = (
        one.family,
        family.magnitude,
        one.site,
        one.detector,
        named,
        f"{one.score:.2f}",
        f"{one.seconds:.0f}",
        _of(one),
    )
    return f"| {' | '.join(map(_text, cells))} |"


def _control(one: Trial, looks: Looks) -> str:
    cells = (
        one.detector,
        _outcome(one),
        str(looks.looked),
        f"**{looks.unclean}**" if looks.unclean else "0",
        looks.until,
        f"{one.seconds:.0f}",
        _of(one),
    )
    return f"| {' | '.join(cells)} |"


def _outcome(one: Trial) -> str:
    return _text(f"{one.outcome}: {one.said}" if one.said else one.outcome)


def _of(one: Trial) -> str:
    seed = "" if one.seed == one.commit else f", seed {one.seed[:_SHORT]}"
    return f"{one.commit[:_SHORT]}{seed}"


def _plain(cell: str) -> str:
    return cell.strip().replace("\\|", "|")


def _text(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
