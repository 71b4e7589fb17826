"""The paths that production's manifests name: health, liveness, readiness, metrics and build information."""

from mambogo_chassis.actuator.endpoints import Actuator
from mambogo_chassis.actuator.health import Health, Status

__all__ = ["Actuator", "Health", "Status"]
