"""The catalogue and the history of its prices, with the chassis' outbox."""

from __future__ import annotations

from alembic import op
from mambogo_chassis.database import schema

revision = "0001"
down_revision = None
phase = "expand"

_PRODUCT = """
CREATE TABLE product (
    id uuid PRIMARY KEY,
    -- The order of the list, and what its cursors hold: never changed, so that a page stays where it was.
    position bigint GENERATED ALWAYS AS IDENTITY,
    sku text NOT NULL CONSTRAINT product_sku_once UNIQUE,
    name text NOT NULL,
    description text NOT NULL,
    category text NOT NULL,
    currency text NOT NULL,
    price_minor bigint NOT NULL CONSTRAINT product_price_positive CHECK (price_minor > 0),
    status text NOT NULL CONSTRAINT product_status_known CHECK (status IN ('ACTIVE', 'DISCONTINUED')),
    version bigint NOT NULL,
    -- Made from the words of `domain.words`, so that search and document cannot disagree on what a word is.
    search tsvector NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""
# The list and its categories show what is sold; a pending list keeps writes cheap, so it is switched off for
# a table that is read a thousand times for each write.
_INDEXES = (
    "CREATE INDEX product_list ON product (position) WHERE status = 'ACTIVE'",
    "CREATE INDEX product_category ON product (category, position) WHERE status = 'ACTIVE'",
    "CREATE INDEX product_search ON product USING gin (search) WITH (fastupdate = off)",
)
_PRICE = """
CREATE TABLE price (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES product (id),
    currency text NOT NULL,
    price_minor bigint NOT NULL CONSTRAINT price_positive CHECK (price_minor > 0),
    product_version bigint NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT now()
)
"""
_PRICE_HISTORY = "CREATE INDEX price_history ON price (product_id, id)"


def upgrade() -> None:
    """Make the tables."""
    for statement in (_PRODUCT, *_INDEXES, _PRICE, _PRICE_HISTORY):
        op.execute(statement)
    for statement in schema.statements("outbox_v1", "inbox_v1"):
        op.execute(statement)
