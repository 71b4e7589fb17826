"""What `up` asks before it makes anything: whether the ports that the cluster publishes are free.

The rows are the doctor's own; here the first that blocks ends the command. Everything else that blocks shows
itself at the step that needs it.
"""

from __future__ import annotations

from rehearsal.core.catalogue import Catalogue, NodePorts
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.paths import Paths
from rehearsal.stages.doctor.holders import EngineUse, find_ports, look_at_engine
from rehearsal.stages.doctor.judging_environment import judge_port
from rehearsal.supply.engine_finding import Engine, find_engine
from rehearsal.supply.engine_home import EngineHome

_OF_THE_CLUSTER = frozenset({"registry", *NodePorts.model_fields})


def require_free_ports(catalogue: Catalogue, paths: Paths) -> None:
    """Raise EnvironmentNotReadyError when somebody else holds a port of the cluster, and say who."""
    engine = find_engine(EngineHome.of(paths))
    refuse_taken(
        catalogue, look_at_engine(engine) if isinstance(engine, Engine) else EngineUse((), ()), paths
    )


def refuse_taken(catalogue: Catalogue, use: EngineUse, paths: Paths) -> None:
    """Raise EnvironmentNotReadyError when a port of the cluster is held by anything but the cluster."""
    found = [one for one in find_ports(catalogue, use, paths) if one.name in _OF_THE_CLUSTER]
    taken = [row for row in map(judge_port, found) if row.blocks]
    if taken:
        raise EnvironmentNotReadyError(
            "PORT_IN_USE",
            "; ".join(f"{row.title} is {row.summary}" for row in taken),
            hint=taken[0].cure,
        )
