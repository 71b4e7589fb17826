-- Which events each consumer has taken: the row commits with the event's effect.
CREATE TABLE IF NOT EXISTS inbox (
    consumer text NOT NULL,
    event_id text NOT NULL,
    -- 'applied', or 'dead': its effect was given up, and a re-drive may still claim it once.
    outcome text NOT NULL CHECK (outcome IN ('applied', 'dead')),
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- For the purge. BRIN: rows arrive in this order, and an insert pays almost nothing for it.
CREATE INDEX IF NOT EXISTS inbox_received ON inbox USING brin (received_at);
