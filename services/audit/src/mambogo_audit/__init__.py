"""Runs the shop as processes, kills them at their failpoints, and audits what is left."""
