"""Where a service stands between start and end, and the background tasks it lives by.

`Supervisor` makes the death of a task visible: the process goes on answering, but its liveness is red, so
that the platform replaces it instead of a relay silently missing. Signals and the HTTP server are
`serving`'s.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from mambogo_chassis.metrics import Metrics

# Of everything that looks again each second. An idle process costs what its wake-ups cost, so they share one;
# each process has its own moment, or a whole node would wake at once.
BEAT_SECONDS: Final = 1.0
_MOMENT_SECONDS: Final = random.random() * BEAT_SECONDS  # noqa: S311 - spreads processes, no secret
# A timer fires some milliseconds around its time; what is nearer than this is the beat that has just been.
_SAME_BEAT_SECONDS: Final = 0.1
LAG_BUCKETS_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# How long tasks that can end by themselves get for what they have begun, before they are cancelled too.
TASK_FINISH_SECONDS: Final = 3.0
# How long cancelled tasks may take to end, out of the stop's own time.
TASK_STOP_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)
TaskFactory = Callable[[], Coroutine[Any, Any, None]]
Stop = Callable[[], None]


class Phase(enum.Enum):
    """A service's phases, in order; it never goes back."""

    STARTING = "STARTING"
    READY = "READY"
    DRAINING = "DRAINING"
    STOPPED = "STOPPED"


@dataclass(slots=True)
class Lifecycle:
    """The current phase. `stopping` is set when draining begins: consumers stop taking new work then."""

    phase: Phase = Phase.STARTING
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _listeners: list[Callable[[Phase], Awaitable[None]]] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether new work may come."""
        return self.phase is Phase.READY

    @property
    def is_draining(self) -> bool:
        """Whether connections are to be closed after their answer."""
        return self.phase in (Phase.DRAINING, Phase.STOPPED)

    def on_phase(self, listener: Callable[[Phase], Awaitable[None]]) -> None:
        """Await `listener` at each change, in the order of registration."""
        self._listeners.append(listener)

    async def move_to(self, phase: Phase) -> None:
        """Enter a later phase. A listener that fails is logged: it must not stop the stop."""
        order = list(Phase)
        if order.index(phase) <= order.index(self.phase):
            return
        self.phase = phase
        if self.is_draining:
            self.stopping.set()
        for listener in self._listeners:
            try:
                await listener(phase)
            except Exception:
                logger.exception("a listener failed at %s", phase.value)


class Supervisor:
    """Runs a service's background tasks; `dead` names those that ended although nobody stopped them."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, Stop] = {}
        self._stopping = False
        self.dead: dict[str, str] = {}

    def start(self, name: str, factory: TaskFactory, stop: Stop | None = None) -> None:
        """Start a task under a unique name. It is expected to run until it is stopped, or to return.

        `stop` asks it to end after what it has begun; a task without one is cancelled.
        """
        if name in self._tasks:
            raise ValueError(f"a task named {name} exists already")
        task = asyncio.create_task(factory(), name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task
        if stop is not None:
            self._stops[name] = stop

    def is_done(self, name: str) -> bool:
        """Whether a task has ended, in whatever way."""
        return self._tasks[name].done()

    async def stop(
        self,
        timeout_seconds: float = TASK_STOP_SECONDS,
        *,
        finish_seconds: float = TASK_FINISH_SECONDS,
    ) -> None:
        """Ask those that can end by themselves to, then cancel what still runs; each within its bound."""
        self._stopping = True
        await self._finish(finish_seconds)
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_seconds)
            for task in late:
                logger.error("task %s did not end within %g s", task.get_name(), timeout_seconds)

    async def _finish(self, timeout_seconds: float) -> None:
        asked = [self._tasks[name] for name in self._stops]
        for stop in self._stops.values():
            stop()
        if asked:
            await asyncio.wait(asked, timeout=timeout_seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if not self._stopping:
                self._bury(task, "cancelled", None)
            return
        error = task.exception()
        if error is not None:
            self._bury(task, type(error).__name__, error)

    def _bury(self, task: asyncio.Task[None], reason: str, error: BaseException | None) -> None:
        self.dead[task.get_name()] = reason
        logger.critical("task %s died: %s; liveness is red", task.get_name(), reason, exc_info=error)


def until_next_beat(now: float) -> float:
    """Seconds from `now`, a time of the loop, to this process's next beat."""
    left = BEAT_SECONDS - (now - _MOMENT_SECONDS) % BEAT_SECONDS
    return left if left > _SAME_BEAT_SECONDS else left + BEAT_SECONDS


async def next_beat() -> None:
    """Sleep until this process's next beat, which is at most 1.1 s away."""
    await asyncio.sleep(until_next_beat(asyncio.get_running_loop().time()))


async def watch_loop_lag(metrics: Metrics) -> None:
    """A supervised task: how late the event loop runs what is due, as a histogram."""
    lag = metrics.histogram(
        "event_loop_lag_seconds", "How late a timer of the event loop fires.", buckets=LAG_BUCKETS_SECONDS
    ).labels()
    loop = asyncio.get_running_loop()
    while True:
        pause = until_next_beat(loop.time())
        due = loop.time() + pause
        await asyncio.sleep(pause)
        lag.observe(max(loop.time() - due, 0.0))
