"""Contracts: what the services promise, in documents and in words, against what they do."""
