"""Calls from one service to another: bounded, budgeted, and carried on with the request's context."""

from mambogo_chassis.client.calls import CallPolicy, HttpClient, Reply
from mambogo_chassis.client.failures import (
    CircuitOpenError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

__all__ = [
    "CallPolicy",
    "CircuitOpenError",
    "HttpClient",
    "Reply",
    "UpstreamError",
    "UpstreamProtocolError",
    "UpstreamTimeoutError",
    "UpstreamUnavailableError",
]
