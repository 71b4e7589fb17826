"""Payments, with the chassis' tables."""

from __future__ import annotations

from alembic import op
from mambogo_chassis.database import schema

revision = "0001"
down_revision = None
phase = "expand"

_PAYMENT = """
CREATE TABLE payment (
    payment_id uuid PRIMARY KEY,
    -- The order in lists: by coming, without a gap that a clock could make.
    number bigint GENERATED ALWAYS AS IDENTITY,
    -- One payment per order, whatever the code above believes.
    order_id uuid NOT NULL UNIQUE,
    user_id text NOT NULL,
    -- Null for an order that ended before it was reserved.
    amount_minor bigint CHECK (amount_minor > 0),
    currency text,
    state text NOT NULL CHECK (
        state IN ('open', 'cancelling', 'captured', 'declined', 'voided', 'refunding', 'refunded')
    ),
    decline_reason text,
    refund_id uuid UNIQUE,
    -- How often the provider was turned to. Written before it is, so that 0 is certain.
    attempts bigint NOT NULL DEFAULT 0,
    -- When somebody has to turn to the provider; in the future while somebody does. Null: never again.
    due_at timestamptz,
    -- The last call ended without an answer: what it did is not known yet.
    outcome_unknown boolean NOT NULL DEFAULT false,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_has_money
        CHECK ((amount_minor IS NOT NULL AND currency IS NOT NULL) OR state = 'voided'),
    CONSTRAINT payment_refund_is_named
        CHECK (refund_id IS NOT NULL OR state NOT IN ('refunding', 'refunded'))
)
"""
_DUE = "CREATE INDEX payment_due ON payment (due_at) WHERE due_at IS NOT NULL"
_OWN = "CREATE INDEX payment_of_user ON payment (user_id, number DESC)"


def upgrade() -> None:
    """Make the tables."""
    for statement in (_PAYMENT, _DUE, _OWN, *schema.statements(*schema.ALL)):
        op.execute(statement)
