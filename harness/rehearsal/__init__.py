"""Mambogo's rehearsal: production on one machine, tried until it breaks, judged honestly."""

__version__ = "0.1.0"
