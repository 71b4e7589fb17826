"""What the catalogue stands on: PostgreSQL, Redis, and the events that others read."""
