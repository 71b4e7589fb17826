"""Planted defects: whether what is broken on purpose is found, and named."""
