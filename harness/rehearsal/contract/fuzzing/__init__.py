"""Fuzzing a service that answers, by its own document, and what a run of it shows."""
