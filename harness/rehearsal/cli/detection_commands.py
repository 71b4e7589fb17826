"""`rehearsal detection`: defects planted in a copy of this commit, and whether they are found and named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from rehearsal.cli.composition import workshop
from rehearsal.cli.console import say
from rehearsal.core.verdicts import ExitCode

if TYPE_CHECKING:
    from rehearsal.detection.detecting import Detector
    from rehearsal.detection.model import Family
    from rehearsal.detection.trials import Trial

_COSTS = ("document", "service", "cluster")


@click.command()
@click.option("--family", "names", multiple=True, metavar="NAME", help="Only this one; --list names them.")
@click.option("--cost", "costs", multiple=True, type=click.Choice(_COSTS), help="Only what takes this.")
@click.option("--seed", metavar="S", default="", help="Draw the places from S instead of the commit's hash.")
@click.option("--list", "only_list", is_flag=True, help="List the families and end.")
@click.option(
    "--write", is_flag=True, help="Put the newest trial of every family into docs/reference/detection.md."
)
def detection(names: tuple[str, ...], costs: tuple[str, ...], seed: str, only_list: bool, write: bool) -> int:
    """Plant defects in a copy of this commit, look for each, and score what was named.

    It goes on where it was interrupted. 1 when a defect was missed, 4 when one could not be looked for.
    """
    click.echo("Looking at what could be planted ...", err=True)
    from rehearsal.core.locking import exclusive
    from rehearsal.detection import copying, page, trials
    from rehearsal.detection.detectors import detectors
    from rehearsal.detection.families import families
    from rehearsal.detection.session import FOLDER, Session

    with workshop("detection", announce=False) as shop:
        root = shop.paths.root
        known = detectors(root, root / FOLDER, shop.seen_cluster_identity, _tell)
        commit, tree = copying.revision(root, may_be_changed=only_list)
        chosen = _chosen(families(seed or commit), names, costs or _COSTS, known)
        if only_list:
            for one in chosen:
                click.echo(f"{known[one.detector].cost:8} {one.detector:12} {one.name}: {one.magnitude}")
            return ExitCode.PASS
        session = Session(
            root,
            commit,
            tree,
            seed or commit,
            known,
            root / trials.LOG,
            _tell,
        )
        with exclusive(shop.paths.locks / "detection.lock", purpose="detection", emit=shop.emit):
            done = session.run(chosen)
        if write:
            logged = trials.read(root / trials.LOG)
            known_trials = list(trials.newest([*page.read(root / page.PAGE), *logged]).values())
            looks = trials.looks(logged, page.read_looks(root / page.PAGE))
            page.replace(root / page.PAGE, page.table(known_trials, families(seed or commit), looks))
        click.echo(page.summary(done))
        return _exit_code(done)


def _tell(text: str) -> None:
    say(f"{text}\n")


def _chosen(
    every: Sequence[Family], names: Sequence[str], costs: Sequence[str], known: Mapping[str, Detector]
) -> list[Family]:
    from rehearsal.core.errors import ConfigurationError

    unknown = set(names) - {one.name for one in every}
    if unknown:
        raise ConfigurationError(
            "FAMILY_UNKNOWN",
            f"there is no family {', '.join(sorted(unknown))}",
            hint="`rehearsal detection --list` names them.",
        )
    wanted = [one for one in every if not names or one.name in names]
    return [one for one in wanted if known[one.detector].cost in costs]


def _exit_code(done: Sequence[Trial]) -> ExitCode:
    from rehearsal.detection.scoring import Outcome

    outcomes = {one.outcome for one in done if not one.is_control}
    if Outcome.MISSED in outcomes:
        return ExitCode.FAIL
    return ExitCode.PASS if outcomes == {Outcome.FOUND} else ExitCode.INVALID
