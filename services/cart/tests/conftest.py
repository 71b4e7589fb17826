"""A cart-service on an empty Redis, an issuer of tokens, and the neighbours to play."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.issuing import Issuer, issuer
from support.shop import Neighbours, Shop, neighbours, settings_for, shop

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.fixture
def near() -> Iterator[Neighbours]:
    with neighbours() as made:
        yield made


@pytest.fixture
async def carts(redis_space: RedisSpace, tokens: Issuer, near: Neighbours) -> AsyncIterator[Shop]:
    async with shop(settings_for(redis_space.url, tokens, near.addresses), tokens, near) as made:
        yield made
