"""A sandbox in this process, and a merchant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from mambogo_sandbox.app import create_app
from mambogo_sandbox.ledger import Ledger
from support.merchant import API_KEY, Merchant


@pytest.fixture
async def merchant(tmp_path: Path) -> AsyncIterator[Merchant]:
    """A merchant of a sandbox whose books are empty."""
    ledger = Ledger(tmp_path / "provider.db")
    server = TestServer(create_app(ledger, api_key=API_KEY))
    await server.start_server()
    async with aiohttp.ClientSession() as session:
        yield Merchant(str(server.make_url("")).rstrip("/"), session)
    await server.close()
    ledger.close()
