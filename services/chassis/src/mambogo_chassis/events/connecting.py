"""How every client of Kafka connects, and connects again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CONNECTING: Final[Mapping[str, Any]] = {
    # Also after an hour of absence it is found again within this.
    "reconnect.backoff.max.ms": 1000,
    # A machine that is gone answers nothing; the default would wait half a minute for it while it comes back.
    "socket.connection.setup.timeout.ms": 5000,
    # The names of brokers stay while a broker is away. Looked up once a second, as is the default, by all
    # clients and in five search domains each time, they cost the cluster's DNS more than the shop's services.
    "broker.address.ttl": 30_000,
    # In an outage the client would set its connections aside and begin with the bootstrap servers again. One
    # that is set aside and still referred to waits for its end a thousand times a second (librdkafka 2.16).
    # The names of brokers stay, so nothing is lost without it.
    "metadata.recovery.strategy": "none",
}
