-- Answers that were given under an idempotency key: the row commits with the work.
CREATE TABLE IF NOT EXISTS idempotency (
    user_id text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    -- Null only inside the transaction that is doing the work.
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);

CREATE INDEX IF NOT EXISTS idempotency_expiry ON idempotency (expires_at);
