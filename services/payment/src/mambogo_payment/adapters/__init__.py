"""The rules' ways to the outside: PostgreSQL, events, the provider, metrics."""
