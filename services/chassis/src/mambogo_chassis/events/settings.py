"""The event settings of a service; mixed into its settings class."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

# Of one request to a broker; as long as a round of the relay, and not librdkafka's 60 s.
SOCKET_TIMEOUT_SECONDS: Final = 10.0


class EventSettings(BaseModel):
    """Where Kafka is (`KAFKA_BOOTSTRAP_SERVERS`, production's name), and how relay and consumer behave."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kafka_bootstrap_servers: str
    # Before the names of all topics and groups: several systems, or the tests of one, share a broker.
    kafka_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$", max_length=100)

    # A connection whose answers do not come within this, or mean nothing, is given up. At least 1 s above the
    # longest wait of a fetch (1 s), or librdkafka refuses it.
    kafka_socket_timeout_seconds: float = Field(default=SOCKET_TIMEOUT_SECONDS, ge=2, le=60)

    # One round of the relay: enough to fill Kafka's batches, small enough to be repeated after a crash.
    relay_batch_events: int = Field(default=500, ge=1, le=5000)
    # After an append: lets the transaction commit, and others join the round.
    relay_gather_seconds: float = Field(default=0.01, ge=0, le=1)
    # Rounds begin at least this far apart unless there is more than one can take; see `pacing`.
    relay_pace_seconds: float = Field(default=0.03, ge=0, le=1)
    # Pause of an idle relay; what another process appended, and died before it relayed it, waits at most this
    # long. Looking is a tenth of what an idle pod uses for each second that it is shorter.
    relay_idle_seconds: float = Field(default=2.0, gt=0, le=10)
    # A round holds a transaction open until Kafka has acknowledged, so it has to end, and before the server
    # ends it (db.idle-in-transaction-seconds, 15 s).
    relay_publish_timeout_seconds: float = Field(default=10.0, gt=0, le=10)
    # Published rows are kept this long, for audits and for a topic that has to be filled again.
    outbox_retention_seconds: float = Field(default=3600.0, ge=0)

    # A member that died without leaving is replaced after this. Its heartbeats come from a native thread, so
    # a busy event loop does not cost it its partitions.
    consumer_session_seconds: int = Field(default=10, ge=6, le=300)
    # Only where names are stable (a StatefulSet): a restarted member then takes its partitions over at once.
    # Two members with one name throw each other out.
    consumer_instance_id: str | None = None
    # How long an idle consumer sleeps at a stretch; its stop waits for as long.
    consumer_poll_seconds: float = Field(default=1.0, gt=0, le=5)
    # Batches begin at least this far apart unless one is full: as for the relay's rounds.
    consumer_pace_seconds: float = Field(default=0.03, ge=0, le=1)
    consumer_batch_records: int = Field(default=500, ge=1, le=5000)
    # Longer than Kafka keeps a record that could be delivered again (default retention 24 h), with a margin.
    inbox_retention_seconds: float = Field(default=7 * 86_400.0, gt=0)
    # Tries of a record whose handler raises; then it becomes a dead letter.
    consumer_attempts: int = Field(default=3, ge=1, le=20)
    consumer_retry_seconds: float = Field(default=0.05, ge=0, le=5)
    # Rewinds of a record that meets locks or timeouts; with pauses of up to 5 s these are about 80 s.
    consumer_contention_attempts: int = Field(default=20, ge=1, le=1000)
    # Rewind pauses: the first, doubled up to the last.
    consumer_backoff_seconds: float = Field(default=0.1, gt=0, le=10)
    consumer_backoff_max_seconds: float = Field(default=5.0, gt=0, le=30)
