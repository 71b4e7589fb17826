"""The settings of product-service."""

from __future__ import annotations

from mambogo_chassis.database import DatabaseSettings
from mambogo_chassis.events import EventSettings
from mambogo_chassis.redis import RedisSettings
from mambogo_chassis.settings import ServiceSettings, refreshable
from pydantic import Field


class Settings(ServiceSettings, DatabaseSettings, EventSettings, RedisSettings):
    """What this service needs besides the chassis' settings."""

    # Shorter than the chassis': the cache is there to save time, and PostgreSQL answers within 10 ms.
    redis_connect_timeout_seconds: float = Field(default=0.25, gt=0, le=30)
    redis_timeout_seconds: float = Field(default=0.25, gt=0, le=30)
    redis_pool_wait_seconds: float = Field(default=0.25, gt=0, le=30)

    # After this, give or take a fifth, one reader loads a cached product anew while the others go on with it.
    # It bounds how long a change stays unseen whose writer died while Redis was away.
    cache_fresh_seconds: float = refreshable(60.0, gt=0, le=3600)
    # How long an edge cache may keep a product.
    edge_cache_seconds: int = refreshable(10, ge=0, le=3600)
