"""Eureka: this instance's registration, and where the others are.

Kubernetes' readiness and Eureka's status are two truths about one instance; `agent` keeps the second equal to
the first. An own small client, because py-eureka-client (0.13.3) did not hold up: see the chassis' README.
"""

from mambogo_chassis.discovery.agent import EurekaAgent
from mambogo_chassis.discovery.eureka import EurekaClient, EurekaError, InstanceStatus, Registration

__all__ = ["EurekaAgent", "EurekaClient", "EurekaError", "InstanceStatus", "Registration"]
