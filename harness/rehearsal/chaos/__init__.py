"""Chaos: faults that are proven, undone and audited."""
