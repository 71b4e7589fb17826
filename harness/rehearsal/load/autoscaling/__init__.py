"""Autoscaling: what Kubernetes' HPA may ask for, what it did ask for, and what became of it."""
