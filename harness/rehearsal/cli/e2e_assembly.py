"""The parts of a run, put together: real stages, ledger, run folder and reports."""

from __future__ import annotations

import random
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import click

from rehearsal.chaos.injecting import WORKLOAD_ENTRY, Injector, WorkloadUndo
from rehearsal.cli.cluster_commands import bring_up, take_down
from rehearsal.cli.composition import OF_CLUSTER, Workshop, workshop
from rehearsal.cli.elsewhere import advised, require_same_shop
from rehearsal.cli.judging_assembly import (
    NAMESPACES,
    choose,
    experiments,
    judging_stages,
    postgres_of,
    tap_of,
)
from rehearsal.cluster import record
from rehearsal.contract.tapping.tap import Tap
from rehearsal.core.errors import ConfigurationError, HarnessError, RehearsalError
from rehearsal.core.events import Level, Notice, RunFacts, fan_out
from rehearsal.core.journal import Journal
from rehearsal.core.ledger import Ledger, Undo, undo_all
from rehearsal.core.locking import exclusive
from rehearsal.core.temporary import sweep
from rehearsal.core.timing import Timing
from rehearsal.core.verdicts import exit_code_of_ending
from rehearsal.deploy.manifests import Manifest
from rehearsal.load.weighing import beside
from rehearsal.stages import run_folder
from rehearsal.stages.artefacts import Secrets, clean_left
from rehearsal.stages.collecting import AROUND, AROUND_ELSEWHERE, collect
from rehearsal.stages.deploying import deploy_stage
from rehearsal.stages.doctor import examine
from rehearsal.stages.doctor.collecting import written_folders
from rehearsal.stages.events import EventsStage
from rehearsal.stages.guarding import Bounds, Guard, read_left
from rehearsal.stages.planning import Planned, Request, plan
from rehearsal.stages.preparing import CLUSTER_ENTRY, ClusterStage, ClusterUndo, doctor_stage, supply_stage
from rehearsal.stages.room import Room, Stage
from rehearsal.stages.running import Runner
from rehearsal.supply.engine_finding import find_engine
from rehearsal.supply.engine_home import EngineHome

_LOCK = "e2e.lock"
_SEED_BITS = 32
_GIB = 1 << 30
_MIB = 1 << 20
Say = Callable[[str], None]


def _nothing(what: str) -> None:
    """Say nothing of what was undone."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    request: Request
    profile: str | None
    timing: Timing | None
    keep: bool
    seed: int | None
    thorough: bool = False  # break every part, not the services alone
    experiments: tuple[str, ...] = ()  # of chaos, by their ids; none means all


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A run that came to its end."""

    folder: Path
    exit_code: int


def rehearse(options: Options, began: Callable[[Path], None] = lambda folder: None) -> Rehearsed:
    """Run the stages, undo, write the report; `began` is told the run's folder as soon as there is one.

    Raises RehearsalError when nothing could be begun, or what it left cannot be told.
    """
    planned = plan(options.request)
    with workshop("e2e", announce=False) as own:
        _require_sensible(own, options)
        shop = own.at(options.request.context)
        with advised(shop):
            if any(one.spec.name == "cluster" and one.skip for one in planned):
                # Whoever goes on with what is there must not be told of another profile in the report.
                found = record.setting(shop.paths, shop.catalogue)
                record.require_same(found, profile=options.profile, timing=options.timing)
            with exclusive(shop.paths.locks / _LOCK, purpose="e2e", emit=shop.emit):
                shop.copy_kubeconfig()
                return _in_turn(shop, options, planned, began)


def undo(shop: Workshop, say: Say = _nothing, *, awaits: bool = True) -> None:
    """Undo what a killed run left, and say what that was; what a living one changes is awaited.

    Without `awaits` what was broken is given back and not waited for: its cure may be yet to be deployed.
    Raises HarnessError when something stays.
    """
    with exclusive(shop.paths.locks / _LOCK, purpose="undo", emit=shop.emit):
        for folder in clean_left(shop.paths.root, Secrets(shop.paths.state), shop.emit):
            say(f"secrets in {folder.name}")
        undo_what_was_left(shop, say, awaits=awaits)
    if marked := run_folder.marked(shop.paths.root):
        raise HarnessError(
            "SECRETS_LEFT",
            f"secrets may be left in {', '.join(str(folder) for folder in marked)}",
            hint="The warning above names the files: see to it that they can be written, or remove them.",
        )


def undo_everywhere(own: Workshop, say: Say) -> None:
    """Undo what killed runs left on the project's own cluster and on others, and say what that was.

    Raises HarnessError that names each cluster on which something stays, when all have had their turn.
    """
    turns = {own.context: partial(undo, own, say)}
    turns |= {one: partial(_undo_there, own.left_at(one), say) for one in own.left_elsewhere()}
    failed: dict[str, Exception] = {}
    for context, turn in turns.items():
        try:
            turn()
        except Exception as error:
            # Whatever it is: the other clusters must have their turn.
            failed[context] = error
    if failed:
        hints = [error.hint for error in failed.values() if isinstance(error, RehearsalError)]
        raise HarnessError(
            "UNDO_INCOMPLETE",
            "; ".join(f"on {context}: {error}" for context, error in failed.items()),
            hint=" ".join(dict.fromkeys(hints)) or "The warnings above say why.",
        )


def _undo_there(shop: Workshop, say: Say) -> None:
    """Undo what was left on another cluster; where there is no newer kubeconfig, by that of its last run."""
    with exclusive(shop.paths.locks / _LOCK, purpose="undo", emit=shop.emit):
        try:
            shop.copy_kubeconfig()
        except ConfigurationError as error:
            if not shop.paths.kubeconfig.exists():
                raise
            said = f"{error.message}: {shop.context} is undone by the kubeconfig of its last run"
            shop.emit(Notice(Level.WARNING, said))
        undo_what_was_left(shop, say)


def _in_turn(
    shop: Workshop, options: Options, planned: tuple[Planned, ...], began: Callable[[Path], None]
) -> Rehearsed:
    secrets, say = Secrets(shop.paths.state), shop.emit
    clean_left(shop.paths.root, secrets, say)
    undo_what_was_left(shop)
    for context in shop.left_elsewhere():
        # Another cluster may be out of reach for good reasons; this one can be judged.
        left = f"what a run has changed on {context} is not undone: `rehearsal undo` does it"
        say(Notice(Level.WARNING, left))
    sha, changed = run_folder.revision(shop.paths.root)
    folder = run_folder.create(shop.paths.root, sha)
    began(folder)
    try:
        facts = _facts(shop, options, folder, sha, changed=changed)
        code = _run_stages(shop, options, planned, facts, folder, secrets)
        _report(folder)
    finally:
        secrets.clean_run(folder, say)
    return Rehearsed(folder, code)


def _run_stages(
    shop: Workshop,
    options: Options,
    planned: tuple[Planned, ...],
    facts: RunFacts,
    folder: Path,
    secrets: Secrets,
) -> int:
    tap = tap_of(shop, folder / "events")
    with Journal(folder / run_folder.EVENTS, secrets) as journal, closing(tap):
        emit = fan_out(journal, shop.emit)
        shop.emit = emit  # supplies, cluster and engine say into the run's journal, too

        def redact(stage: Path) -> None:
            # A file that is replaced under its writer loses what is written after that.
            if not (tap.listening and stage == tap.folder):
                secrets.clean(stage, emit)

        runner = Runner(
            facts=facts,
            folder=folder,
            emit=emit,
            ledger=shop.ledger,
            undoers=_undoers(shop),
            stages=_stages(shop, options, shop.ledger, tap),
            diagnose=lambda room, since: collect(shop.api(), NAMESPACES, room, since, _around(shop)),
            guard=_guard(shop),
            redact=redact,
            faults=(WORKLOAD_ENTRY,),
        )
        return exit_code_of_ending(runner.run(planned))


def _around(shop: Workshop) -> Sequence[str]:
    """Return the namespaces that the shop stands on, as far as they are this project's to show."""
    return AROUND_ELSEWHERE if shop.paths.context else AROUND


def _report(folder: Path) -> None:
    """Write the report; its last words are the last on the console."""
    from rehearsal.report import writing
    from rehearsal.report.console import render_console

    click.echo(render_console(writing.write(folder), str(folder / writing.PAGE)))


def _guard(shop: Workshop) -> Guard:
    limits, folders = shop.catalogue.limits, _filled(shop)
    bounds = Bounds(int(limits.stop_free_disk_gib * _GIB), limits.stop_available_memory_mib * _MIB)
    return Guard(lambda: read_left(folders), bounds)


def _filled(shop: Workshop) -> Mapping[str, Path]:
    """Return the folders that a run fills, by the role of each."""
    home = EngineHome.of(shop.paths)
    filled = written_folders(shop.paths, find_engine(home), home)
    return {**filled, "state": shop.paths.state, "runs": shop.paths.root}


def undo_what_was_left(shop: Workshop, say: Say = _nothing, *, awaits: bool = True) -> None:
    """Undo what a killed run left, and say what that was; the caller holds the lock of runs.

    Raises HarnessError when something stays.
    """
    found = shop.ledger.entries()
    sweep()
    left = undo_all(shop.ledger, _undoers(shop, awaits=awaits), shop.emit)
    for entry in found:
        if entry not in left:
            say(entry.what)
    if left:
        raise HarnessError(
            "UNDO_INCOMPLETE",
            f"what an earlier run changed could not be undone: {'; '.join(one.what for one in left)}",
            hint=f"The warnings above say why. {_mending(shop)}",
        )


def _mending(shop: Workshop) -> str:
    if shop.paths.context:
        return f"Of a cluster that is gone for good, or was made anew, remove {shop.paths.cluster}."
    return "`rehearsal up --ci` mends the cluster, then undoes; `rehearsal down` removes it with all on it."


def _require_sensible(shop: Workshop, options: Options) -> None:
    if options.profile:
        shop.catalogue.profile(options.profile)
    choose(experiments(shop.catalogue, thorough=options.thorough), options.experiments)
    skipped = next(one.skip for one in plan(options.request) if one.spec.name == "chaos")
    if options.experiments and skipped:
        raise ConfigurationError(
            "EXPERIMENT_NOT_RUN",
            f"{options.experiments[0]} is an experiment of chaos, and chaos would not run: {skipped}",
            hint="Add chaos to --stages, or leave --experiment out.",
        )


def _facts(shop: Workshop, options: Options, folder: Path, sha: str, *, changed: bool) -> RunFacts:
    found = record.setting(shop.paths, shop.catalogue)
    profile = options.profile or shop.profile
    timing = options.timing or (found.timing if found else shop.catalogue.profile(profile).timing)
    # The seed need not be secret, only different from run to run.
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(_SEED_BITS)
    return RunFacts(
        id=folder.name,
        command=shlex.join(["rehearsal", *sys.argv[1:]]),
        sha=sha,
        changed=changed,
        profile=profile,
        timing=timing.value,
        context=shop.context,
        seed=seed,
        machine=run_folder.machine(),
        order_p95_seconds=shop.catalogue.objectives.order_p95_seconds,
    )


def _stages(shop: Workshop, options: Options, ledger: Ledger, tap: Tap) -> Mapping[str, Stage]:
    # Once in a run is enough, and what it takes is made only once.
    prove_place = cache(lambda: require_same_shop(shop))
    judging = _judging(shop, options, ledger, tap)
    stages = {
        "doctor": doctor_stage(
            lambda: examine(shop.paths, shop.catalogue, supplies=lambda: shop.passive_supplies)
        ),
        "supply": supply_stage(lambda: shop.supplies.build([])),
        "cluster": ClusterStage(
            identity=lambda: shop.cluster_identity(),
            bring_up=lambda maker: bring_up(shop, options.profile, options.timing, maker=maker),
            ledger=ledger,
            keep=options.keep,
        ),
        "deploy": deploy_stage(shop.deployment, lambda: _manifests(shop), shop.catalogue.working_set_mib),
        **{name: _on_this_tree(shop, stage, prove_place) for name, stage in judging.items()},
    }
    return {name: _advised(shop, stage) for name, stage in stages.items()}


def _advised(shop: Workshop, stage: Stage) -> Stage:
    """Return a stage whose errors advise what helps on its cluster."""

    def work(room: Room) -> None:
        with advised(shop):
            stage(room)

    return work


def _manifests(shop: Workshop) -> tuple[Sequence[Manifest], Sequence[Manifest]]:
    renderer = shop.renderer()
    return renderer.production(), renderer.render(shop.profile)


def _judging(shop: Workshop, options: Options, ledger: Ledger, tap: Tap) -> Mapping[str, Stage]:
    stages = judging_stages(shop, ledger, thorough=options.thorough, only=options.experiments)
    if any(one.spec.name == "events" and not one.skip for one in plan(options.request)):
        stages = {name: _tapped(tap, stage) for name, stage in stages.items()}
    return {**stages, "events": EventsStage(shop.paths.root, tap)}


def _tapped(tap: Tap, stage: Stage) -> Stage:
    """Return a stage beside which the tap runs, from the first of them on."""

    def work(room: Room) -> None:
        tap.begin()
        stage(room)

    return work


def _on_this_tree(shop: Workshop, stage: Stage, prove_place: Callable[[], None]) -> Stage:
    """Return a stage that begins only when what is asked was deployed from this tree, on this cluster."""

    def work(room: Room) -> None:
        shop.require_deployed()
        if shop.paths.context:
            prove_place()
        stage(room)

    return work


def _undoers(shop: Workshop, *, awaits: bool = True) -> Mapping[str, Undo]:
    def undo_workload(arguments: Mapping[str, str]) -> None:
        # A cluster that is gone has taken what was broken with it.
        if _is_there(shop, arguments):
            WorkloadUndo(Injector(shop.api(), shop.ledger, postgres_of(shop)), awaits=awaits)(arguments)

    if shop.paths.context:
        return {WORKLOAD_ENTRY: undo_workload}  # nothing else is ever changed there

    def undo_pod(arguments: Mapping[str, str]) -> None:
        if shop.cluster_identity():
            beside.remove(shop.api(), arguments)

    return {
        CLUSTER_ENTRY: ClusterUndo(
            identity=lambda: shop.cluster_identity(),
            maker=lambda: _maker(shop),
            remove=lambda: take_down(shop, images=False),
        ),
        WORKLOAD_ENTRY: undo_workload,
        beside.POD_ENTRY: undo_pod,
    }


def _is_there(shop: Workshop, arguments: Mapping[str, str]) -> bool:
    """Return whether there is a cluster on which a change could be undone.

    Raises HarnessError when a context leads to another one than was changed, EnvironmentNotReadyError when
    nobody says to which.
    """
    identity = shop.cluster_identity()
    if shop.paths.context and identity != arguments.get(OF_CLUSTER):
        raise HarnessError(
            "CLUSTER_ANOTHER",
            f"context {shop.context} leads to another cluster than the one that was changed",
            hint="Have it lead there again.",
        )
    return bool(identity)


def _maker(shop: Workshop) -> str:
    made = record.load(shop.paths.state)
    return made.maker if made else ""
