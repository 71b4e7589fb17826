"""Stock, reservations and the ledger of movements, with the chassis' tables."""

from __future__ import annotations

from alembic import op
from mambogo_chassis.database import schema

revision = "0001"
down_revision = None
phase = "expand"

_STOCK = """
CREATE TABLE stock (
    product_id uuid PRIMARY KEY,
    initial bigint NOT NULL,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    sold bigint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT stock_never_negative CHECK (on_hand >= 0 AND reserved >= 0 AND sold >= 0),
    CONSTRAINT stock_adds_up CHECK (initial = on_hand + reserved + sold)
)
"""
_RESERVATION = """
CREATE TABLE reservation (
    order_id uuid PRIMARY KEY,
    reservation_id uuid NOT NULL,
    state text NOT NULL
        CHECK (state IN ('reserved', 'refused', 'sold', 'released', 'expired', 'lost')),
    -- [[product_id, quantity], ...] and [[product_id, requested, available], ...]: read as a whole.
    lines jsonb NOT NULL,
    short jsonb NOT NULL,
    reason text NOT NULL,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""
_EXPIRY = "CREATE INDEX reservation_expiry ON reservation (expires_at) WHERE state = 'reserved'"
_MOVEMENT = """
CREATE TABLE movement (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id uuid NOT NULL,
    -- Null where an administrator changed what there is.
    order_id uuid,
    kind text NOT NULL,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    sold bigint NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now()
)
"""
# One order's effect of one kind on one product happens once, whatever the code above it believes.
_ONCE = """
CREATE UNIQUE INDEX movement_once ON movement (order_id, product_id, kind) WHERE order_id IS NOT NULL
"""
_APPEND_ONLY = """
CREATE FUNCTION movement_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'movements are never changed' USING ERRCODE = 'restrict_violation';
END
$$
"""
_TRIGGER = """
CREATE TRIGGER movement_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON movement
FOR EACH STATEMENT EXECUTE FUNCTION movement_is_append_only()
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in (_STOCK, _RESERVATION, _EXPIRY, _MOVEMENT, _ONCE, _APPEND_ONLY, _TRIGGER):
        op.execute(statement)
    for statement in schema.statements(*schema.ALL):
        op.execute(statement)
