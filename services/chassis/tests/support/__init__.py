"""Helpers of the tests: real servers that behave badly, and processes."""
