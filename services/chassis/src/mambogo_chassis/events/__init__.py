"""Events: written with the work that decides them, taken once with their effect.

`EventRegistry` names the types, `Outbox` appends, `Relay` sends, `EventConsumer` takes. docs/events.md has
the whole path on one page.
"""

from mambogo_chassis.events.consumer import EventConsumer
from mambogo_chassis.events.envelope import CloudEvent, EventData
from mambogo_chassis.events.errors import PermanentEventError, RefusedEventError
from mambogo_chassis.events.outbox import Outbox
from mambogo_chassis.events.projecting import Projection
from mambogo_chassis.events.publishing import KafkaPublisher
from mambogo_chassis.events.registry import EventRegistry
from mambogo_chassis.events.relay import Relay
from mambogo_chassis.events.settings import EventSettings
from mambogo_chassis.events.wiring import Events, use_events, use_projection

__all__ = [
    "CloudEvent",
    "EventConsumer",
    "EventData",
    "EventRegistry",
    "EventSettings",
    "Events",
    "KafkaPublisher",
    "Outbox",
    "PermanentEventError",
    "Projection",
    "RefusedEventError",
    "Relay",
    "use_events",
    "use_projection",
]
