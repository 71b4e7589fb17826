-- Events that were decided in a transaction and are not, or not long, in Kafka.
CREATE TABLE IF NOT EXISTS outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    topic text NOT NULL,
    -- The Kafka key: the aggregate, whose events keep their order.
    key bytea NOT NULL,
    -- Which relay may send it: a hash of the key, so that one aggregate is always in one hand.
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    value bytea NOT NULL,
    -- Null means the headers of a CloudEvent in structured mode; else [[name, base64], ...].
    headers jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    -- A row that Kafka refused waits until then, and with it the later rows of its aggregate.
    attempts bigint NOT NULL DEFAULT 0,
    not_before timestamptz,
    last_error text
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (shard, id) WHERE published_at IS NULL;

CREATE INDEX IF NOT EXISTS outbox_refused ON outbox (topic, key)
WHERE published_at IS NULL AND not_before IS NOT NULL;
