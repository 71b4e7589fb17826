"""The instances of all services as this process knows them: pure, fed by fetches, never emptied by an outage.

Deltas are applied one by one and verified by Eureka's own hash (`UP_2_DOWN_1_`); a mismatch asks for a full
fetch. An application that a *full* answer no longer has is kept for a grace period: a registry that has just
been restarted is empty, and its clients are not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

InstanceStatus = Literal["UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"]
# Three heartbeats: by then every live instance has registered again with a registry that forgot it.
GRACE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class RegisteredInstance:
    """One instance of an application."""

    application: str
    instance_id: str
    base_url: str
    status: str


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a delta."""

    action: str
    instance: RegisteredInstance


class InstanceCache:
    """What is known; `base_urls` is what callers use."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._instances: dict[tuple[str, str], RegisteredInstance] = {}
        self._missing_since: dict[str, float] = {}
        self._urls: dict[str, tuple[str, ...]] = {}
        self.updated_at: float | None = None

    def base_urls(self, application: str) -> Sequence[str]:
        """The addresses of the instances that are UP, sorted; empty for an unknown application."""
        return self._urls.get(application.upper(), ())

    def hash_code(self) -> str:
        """Eureka's hash over all instances: counts by status, in the status's alphabetical order."""
        counts = Counter(instance.status for instance in self._instances.values())
        return "".join(f"{status}_{counts[status]}_" for status in sorted(counts))

    def replace(self, instances: Iterable[RegisteredInstance]) -> None:
        """Take a full answer over."""
        fresh = {(instance.application, instance.instance_id): instance for instance in instances}
        present = {application for application, _ in fresh}
        now = self._clock()
        for key, instance in self._instances.items():
            application = instance.application
            if application not in present:
                since = self._missing_since.setdefault(application, now)
                if now - since < GRACE_SECONDS:
                    fresh[key] = instance
        for application in present:
            self._missing_since.pop(application, None)
        self._instances = fresh
        self._changed()

    def apply(self, changes: Iterable[Change]) -> None:
        """Take a delta over, in its order. An entry may come many times: Eureka sends minutes of changes."""
        for change in changes:
            key = (change.instance.application, change.instance.instance_id)
            if change.action == "DELETED":
                self._instances.pop(key, None)
            else:
                self._instances[key] = change.instance
        self._changed()

    def confirm(self) -> None:
        """The registry has said that nothing is new."""
        self.updated_at = self._clock()

    def _changed(self) -> None:
        self.updated_at = self._clock()
        urls: dict[str, list[str]] = {}
        for instance in self._instances.values():
            if instance.status == "UP":
                urls.setdefault(instance.application, []).append(instance.base_url)
        self._urls = {application: tuple(sorted(set(found))) for application, found in urls.items()}


def parse_applications(document: Any) -> tuple[str, list[Change]]:
    """The hash and the entries of `GET /apps` or `/apps/delta`. Raises ValueError for any other document."""
    try:
        applications = document["applications"]
        changes = [
            _change(application["name"], instance)
            for application in _listed(applications.get("application"))
            for instance in _listed(application["instance"])
        ]
        return str(applications.get("apps__hashcode", "")), changes
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a list of applications: {type(error).__name__} {error}") from error


def _change(application: str, instance: dict[str, Any]) -> Change:
    port = int(instance["port"]["$"])
    registered = RegisteredInstance(
        application.upper(),
        str(instance.get("instanceId") or f"{instance['hostName']}:{port}"),
        f"http://{instance['ipAddr'] or instance['hostName']}:{port}",
        str(instance["status"]),
    )
    return Change(str(instance.get("actionType", "ADDED")), registered)


def _listed(value: Any) -> list[Any]:
    # Eureka's XStream heritage: a list of one may come as the one.
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
