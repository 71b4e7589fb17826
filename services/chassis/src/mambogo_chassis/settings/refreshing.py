"""Keeps the settings in force, and takes a config server's changes over while the service runs.

Only fields made by `refreshable` change; a change of another is reported as waiting for a restart. A bad
answer is refused as a whole and the settings in force stay. Asking again is driven by `run`, a supervised
task of the service.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from mambogo_chassis.metrics import Metrics
from mambogo_chassis.settings.config_server import Answer, ConfigServer, ConfigServerError
from mambogo_chassis.settings.loading import (
    LoadReport,
    SettingsError,
    Sources,
    config_server,
    profile_of,
    resolve,
    save_answer,
)
from mambogo_chassis.settings.model import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
logger = logging.getLogger(__name__)


class LiveSettings(Generic[S]):
    """The settings in force: read `current` each time, never keep a copy of a refreshable value."""

    def __init__(
        self,
        settings: S,
        report: LoadReport,
        *,
        environment: Mapping[str, str] | None = None,
        cache_path: Path | None = None,
    ) -> None:
        self.current = settings
        self.report = report
        self.restart_needed: frozenset[str] = frozenset()
        self._environment = dict(environment or {})
        self._cache_path = cache_path
        self._listeners: list[Callable[[S], None]] = []
        self._reported: str | None = None
        self._last_answer: Answer | None = None
        self._stale = report.origin == "cache"

    def on_change(self, listener: Callable[[S], None]) -> None:
        """Call `listener` after each change, with the new settings."""
        self._listeners.append(listener)

    def register_metrics(self, metrics: Metrics) -> None:
        """Two gauges: are the settings old, and does one wait for a restart."""
        metrics.gauge_callback(
            "settings_stale", "1 while the config server gives no usable answer.", lambda: float(self._stale)
        )
        metrics.gauge_callback(
            "settings_restart_needed",
            "Changed settings that only a restart takes over.",
            lambda: float(len(self.restart_needed)),
        )

    async def run(self) -> None:
        """Ask again every `settings_refresh_seconds`, until cancelled; returns at once without a server."""
        server = config_server(self.current.application_name, self._environment)
        if server is None:
            return
        while True:
            await asyncio.sleep(self.current.settings_refresh_seconds)
            await self.refresh(server)

    async def refresh(self, server: ConfigServer) -> bool:
        """Ask once; whether the settings are now as the server has them. Never raises for a bad answer."""
        try:
            answer = await asyncio.to_thread(server.fetch)
            self.apply(answer)
        except (ConfigServerError, SettingsError) as error:
            self._stale = True
            self._report_once(f"settings not refreshed, the old ones stay: {error}")
            return False
        if answer != self._last_answer:
            for warning in await asyncio.to_thread(save_answer, self._cache_path, server, answer):
                self._report_once(warning)
            self._last_answer = answer
        self._stale = False
        return True

    def apply(self, answer: Answer) -> frozenset[str]:
        """Take over what may change; the names that did. Raises SettingsError and changes nothing if bad."""
        fixed = {
            "application_name": self.current.application_name,
            "profile": profile_of(self._environment),
        }
        wanted, places = resolve(type(self.current), Sources(self._environment, answer, fixed))
        differing = {
            name
            for name in type(self.current).model_fields
            if getattr(wanted, name) != getattr(self.current, name)
        }
        changed = frozenset(differing & self.current.refreshable_fields())
        self._note_restart(frozenset(differing - changed))
        self.report = LoadReport("config server", answer.version, self.report.warnings, places)
        if changed:
            self.current = self.current.model_copy(update={name: getattr(wanted, name) for name in changed})
            logger.info("settings changed: %s", ", ".join(sorted(changed)))
            for listener in self._listeners:
                listener(self.current)
        return changed

    def _note_restart(self, names: frozenset[str]) -> None:
        if names != self.restart_needed:
            self.restart_needed = names
            if names:
                logger.warning(
                    "settings changed that only a restart takes over: %s", ", ".join(sorted(names))
                )

    def _report_once(self, message: str) -> None:
        # The same failure every 30 s for hours would bury everything else.
        if message != self._reported:
            self._reported = message
            logger.warning("%s", message)
