"""A merchant who calls the sandbox over HTTP."""

from __future__ import annotations

from typing import Any

import aiohttp

API_KEY = "test-key"


class Merchant:
    """Calls the API with its key."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None, api_key: str = API_KEY
    ) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        headers = {"Authorization": f"Bearer {api_key}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def authorise(self, key: str = "k1", *, reference: str = "r1", amount_minor: int = 1000) -> Any:
        """A payment of EUR."""
        body = {"reference": reference, "amount_minor": amount_minor, "currency": "EUR"}
        return (await self.call("POST", "/v1/payments", body, key=key))[1]

    async def capture(self, payment: Any, key: str = "k1") -> tuple[int, Any]:
        """Capture it."""
        return await self.call("POST", f"/v1/payments/{payment['id']}/capture", key=key)

    async def refund(self, payment: Any, amount_minor: int, key: str = "f1") -> tuple[int, Any]:
        """Refund a part of it."""
        body = {"reference": key, "amount_minor": amount_minor}
        return await self.call("POST", f"/v1/payments/{payment['id']}/refunds", body, key=key)

    async def kinds(self) -> list[str]:
        """The kinds of all ledger entries."""
        return [entry["kind"] for entry in (await self.call("GET", "/admin/ledger"))[1]["entries"]]

    async def switch(self, **switches: object) -> None:
        """Turn these on and all others off."""
        status, _ = await self.call("PUT", "/admin/switches", switches)
        assert status == 200
