"""The settings of payment-service, besides the chassis' own."""

from __future__ import annotations

from typing import Self

from mambogo_chassis.database import DatabaseSettings
from mambogo_chassis.events import EventSettings
from mambogo_chassis.settings import ServiceSettings
from mambogo_chassis.settings.model import Url
from pydantic import Field, SecretStr, model_validator

# Calls to the provider that one claim of a payment can need: ask, authorise, capture.
CALLS_PER_CLAIM = 3


class Settings(ServiceSettings, DatabaseSettings, EventSettings):
    """`PROVIDER_URL` and its like."""

    provider_url: Url
    provider_api_key: SecretStr
    provider_timeout_seconds: float = Field(default=2.0, gt=0, le=30)
    provider_webhook_secret: SecretStr
    # While the secret is being changed, both are taken.
    provider_webhook_secret_before: SecretStr | None = None
    # How old, or how far ahead of this clock, a signature may be; 5 min is what providers recommend.
    webhook_window_seconds: float = Field(default=300.0, gt=0, le=3600)
    # At 50 ms for two calls, 16 at once are 320 payments a second in each pod.
    worker_concurrency: int = Field(default=16, ge=1, le=256)
    # A claim that nobody finished is taken over after this.
    worker_lease_seconds: float = Field(default=15.0, gt=0, le=300)
    # What other pods' consumers wrote waits at most this long.
    worker_idle_seconds: float = Field(default=0.5, gt=0, le=10)

    @model_validator(mode="after")
    def _leases_outlast_calls(self) -> Self:
        if self.worker_lease_seconds <= CALLS_PER_CLAIM * self.provider_timeout_seconds:
            raise ValueError(
                f"worker_lease_seconds must be above {CALLS_PER_CLAIM} times provider_timeout_seconds"
            )
        return self
