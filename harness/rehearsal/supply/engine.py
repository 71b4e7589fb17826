"""The Docker engine: the one that answers, or else one of our own.

`ensure_engine` returns an engine that works. One that answers belongs to whoever started it: it is never
reconfigured and never restarted. Looking is in `engine_finding`, starting in `engine_start`. What runs on the
engine is for `rehearsal.cluster`.

Callers may catch EnvironmentNotReadyError; its hint holds the commands that cure it.
"""

from __future__ import annotations

from rehearsal.core import locking
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit, step
from rehearsal.core.paths import Paths
from rehearsal.supply import engine_start
from rehearsal.supply.engine_finding import Engine, Origin, Silent, connect, find_engine
from rehearsal.supply.engine_home import RUNTIME_NAME, EngineHome

__all__ = [
    "Engine",
    "EngineHome",
    "Origin",
    "Silent",
    "connect",
    "cure_of_unable",
    "describe",
    "ensure_engine",
    "find_engine",
    "privileged_works",
    "refuse_unable",
]

_STOCK_RUNTIMES = frozenset({"runc", "crun", "io.containerd.runc.v2"})  # ask for every capability there is


def ensure_engine(paths: Paths, emit: Emit, *, home: EngineHome | None = None) -> Engine:
    """Return an engine that can run privileged containers; start one of our own where none answers.

    Two callers at once are safe: one starts it, the other waits and finds it.
    """
    home = home or EngineHome.of(paths)
    with step(emit, "engine") as progress:
        found = find_engine(home)
        if isinstance(found, Engine):
            progress.unchanged(describe(found))
        else:
            with locking.exclusive(
                paths.locks / f"engine-{home.key}.lock", purpose="start the Docker engine", emit=emit
            ):
                found = find_engine(home)
                if isinstance(found, Silent):
                    engine_start.start(found, home, paths, progress)
                    found = _answering(home)
            progress.detail = describe(found)
        refuse_unable(found)
        if found.origin is Origin.OURS and found.default_runtime == RUNTIME_NAME:
            engine_start.install_runtime(home, paths)
    return found


def describe(engine: Engine) -> str:
    """Return an engine in one line."""
    return f"Docker {engine.version} at {engine.endpoint.host}, {engine.origin}"


def privileged_works(engine: Engine) -> bool:
    """Return whether the engine's runtime copes with what the daemon's bounding set lacks.

    A runtime that somebody put in place of the stock one is trusted to do so: it is the user's.
    """
    return not engine.missing_capabilities or engine.default_runtime not in _STOCK_RUNTIMES


def refuse_unable(engine: Engine) -> None:
    """Raise EnvironmentNotReadyError for an engine that cannot start a privileged container."""
    if privileged_works(engine):
        return
    raise EnvironmentNotReadyError(
        "ENGINE_UNBOUNDED_RUNTIME",
        f"the engine at {engine.endpoint.host} cannot run privileged containers: its host lacks "
        f"{', '.join(engine.missing_capabilities)}, and its runtime {engine.default_runtime} asks for them",
        hint=cure_of_unable(engine),
    )


def cure_of_unable(engine: Engine) -> str:
    """Return the commands that give an engine a runtime it can work with."""
    if engine.origin is Origin.OURS:
        return (
            f"End it with `kill {engine.pid}` (its containers stop, their data stays) and run the command "
            "again: it is then started with the runtime that this machine needs."
        )
    return (
        "Copy kind/engine/runc-bounded to /usr/local/sbin, add "
        '`"runtimes": {"runc-bounded": {"path": "/usr/local/sbin/runc-bounded"}}, '
        '"default-runtime": "runc-bounded"` to /etc/docker/daemon.json and restart the engine: it is '
        "yours, so nothing is changed for you."
    )


def _answering(home: EngineHome) -> Engine:
    found = find_engine(home)
    if isinstance(found, Engine):
        return found
    raise EnvironmentNotReadyError(
        "ENGINE_GONE",
        f"the engine at {home.host} was started and no longer answers: {found.detail}",
        hint=f"Its log: {home.log}",
    )
