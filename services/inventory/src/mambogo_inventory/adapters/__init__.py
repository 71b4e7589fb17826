"""The rules' ways to the outside: PostgreSQL, events, metrics."""
