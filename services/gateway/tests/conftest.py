"""Settings of all tests. Everything runs on loopback, on ports that the system chooses."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says nothing about the product on a machine that others use, too.
settings.register_profile("gateway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gateway")
