"""The doctor's stage: collect the facts once, judge every row from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.stages.doctor import judging_environment as environment
from rehearsal.stages.doctor import judging_machine as machine
from rehearsal.stages.doctor.collecting import StatusSource, collect
from rehearsal.stages.doctor.facts import MachineFacts
from rehearsal.stages.doctor.rows import Row
from rehearsal.supply.engine_home import EngineHome

SINGLE: tuple[Callable[[MachineFacts], Row], ...] = (
    environment.engine,
    environment.capabilities,
    machine.cores,
    machine.memory,
    machine.swap,
    machine.cgroup,
    machine.open_files,
    machine.inotify,
    machine.load,
    machine.clock,
    environment.ranges,
    environment.proxy,
    environment.localhost,
    environment.kubeconfig,
    environment.browser,
)
SEVERAL: tuple[Callable[[MachineFacts], Iterator[Row]], ...] = (
    machine.disks,
    machine.kernel,
    environment.ports,
    environment.supplies,
)


def examine(
    paths: Paths,
    catalogue: Catalogue,
    *,
    supplies: Callable[[], StatusSource],
    home: EngineHome | None = None,
) -> Iterator[Row]:
    """Look at the machine and yield its rows; changes nothing and asks nobody outside it.

    Nothing is looked at before the first row is asked for. `supplies` must start no engine.
    """
    yield from judge(collect(paths, catalogue, supplies=supplies, home=home or EngineHome.of(paths)))


def judge(facts: MachineFacts) -> Iterator[Row]:
    """Yield all rows of a snapshot."""
    for one in SINGLE:
        yield one(facts)
    for several in SEVERAL:
        yield from several(facts)
