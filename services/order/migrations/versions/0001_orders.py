"""orders, their lines, history and refunds; the chassis' tables

Revision ID: 0001
"""

from __future__ import annotations

from alembic import op

from mambogo_chassis.database import schema

revision = "0001"
down_revision = None
phase = "expand"

_TABLES = (
    """
CREATE TABLE IF NOT EXISTS orders (
    order_id uuid PRIMARY KEY,
    user_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'RESERVED', 'CONFIRMED', 'REJECTED', 'CANCELLED')),
    reason text,
    -- Of the last event about this order: 1, 2, 3, ... without a gap.
    sequence bigint NOT NULL CHECK (sequence >= 1),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor bigint NOT NULL CHECK (total_minor BETWEEN 0 AND 9007199254740991),
    payment_id uuid,
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    placed_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- While it waits for others: when the sweeper looks at it, and how often its event was sent again.
    sweep_at timestamptz,
    resends bigint NOT NULL DEFAULT 0,
    CHECK (state <> 'CONFIRMED' OR payment_id IS NOT NULL),
    CHECK ((state IN ('REJECTED', 'CANCELLED')) = (reason IS NOT NULL)),
    CHECK ((state IN ('PENDING', 'RESERVED')) = (sweep_at IS NOT NULL))
)
""",
    "CREATE INDEX IF NOT EXISTS orders_of_user ON orders (user_id, placed_at DESC, order_id DESC)",
    "CREATE INDEX IF NOT EXISTS orders_due ON orders (sweep_at) WHERE sweep_at IS NOT NULL",
    """
CREATE TABLE IF NOT EXISTS order_lines (
    order_id uuid NOT NULL REFERENCES orders (order_id),
    position smallint NOT NULL,
    product_id uuid NOT NULL,
    quantity bigint NOT NULL CHECK (quantity BETWEEN 1 AND 1000),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (order_id, position),
    UNIQUE (order_id, product_id)
)
""",
    """
CREATE TABLE IF NOT EXISTS order_history (
    order_id uuid NOT NULL REFERENCES orders (order_id),
    sequence bigint NOT NULL,
    state text NOT NULL,
    reason text,
    at timestamptz NOT NULL,
    PRIMARY KEY (order_id, sequence)
)
""",
    """
CREATE TABLE IF NOT EXISTS order_refunds (
    refund_id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (order_id),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    at timestamptz NOT NULL DEFAULT now()
)
""",
)

# The second line of defence: whatever a future version of the code believes, no order makes another move, and
# none without its history.
_GUARD = (
    """
CREATE OR REPLACE FUNCTION guard_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'PENDING' OR NEW.sequence <> 1 THEN
            RAISE EXCEPTION 'an order begins PENDING' USING ERRCODE = 'check_violation';
        END IF;
    ELSE
        IF (NEW.order_id, NEW.user_id, NEW.currency, NEW.total_minor, NEW.placed_at)
           IS DISTINCT FROM (OLD.order_id, OLD.user_id, OLD.currency, OLD.total_minor, OLD.placed_at) THEN
            RAISE EXCEPTION 'what was ordered does not change' USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.sequence NOT IN (OLD.sequence, OLD.sequence + 1) THEN
            RAISE EXCEPTION 'sequence % after %', NEW.sequence, OLD.sequence
                USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
        IF NEW.sequence = OLD.sequence OR (OLD.state || '>' || NEW.state) NOT IN (
            'PENDING>RESERVED', 'PENDING>REJECTED', 'PENDING>CANCELLED',
            'RESERVED>CONFIRMED', 'RESERVED>REJECTED', 'RESERVED>CANCELLED', 'CONFIRMED>CANCELLED') THEN
            RAISE EXCEPTION 'an order cannot move from % to %', OLD.state, NEW.state
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    INSERT INTO order_history (order_id, sequence, state, reason, at)
    VALUES (NEW.order_id, NEW.sequence, NEW.state, NEW.reason, NEW.updated_at);
    RETURN NEW;
END
$$
""",
    "CREATE OR REPLACE TRIGGER guard_order AFTER INSERT OR UPDATE ON orders "
    "FOR EACH ROW EXECUTE FUNCTION guard_order()",
)


def upgrade() -> None:
    """Make them."""
    for statement in (*schema.statements(*schema.ALL), *_TABLES, *_GUARD):
        op.execute(statement)
