"""Buyers: place orders until told to stop, repeat what got no answer, write down what happened.

    python client.py PORT HISTORY STOP_FILE OPERATIONS CLIENTS

One line per operation: its reference, and `ok` with the order's id, or `unfinished` when it was refused
again and again. Every tenth order is clicked twice at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

# Answers of "not now" to one operation. A try without an answer does not count: the service may be starting.
MAX_REFUSALS = 30
PAUSE_SECONDS = 0.05
REPLY_SECONDS = 10.0
DOUBLE_CLICK_EVERY = 10


async def attempt(port: int, order: dict[str, Any]) -> dict[str, Any] | None:
    """One try: the reply, or None where nobody can say what happened."""
    try:
        async with asyncio.timeout(REPLY_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(json.dumps(order).encode() + b"\n")
            line = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return None
    reply: dict[str, Any] | None = json.loads(line) if line else None
    return reply


async def buy(port: int, number: int) -> dict[str, Any]:
    """Try until there is an answer that will not change."""
    reference = str(uuid.uuid4())
    key = str(uuid.uuid4())
    tries = refusals = 0
    while refusals < MAX_REFUSALS:
        order = {"reference": reference, "amount": number, "key": key}
        clicks = 2 if number % DOUBLE_CLICK_EVERY == 0 else 1
        replies = await asyncio.gather(*(attempt(port, order) for _ in range(clicks)))
        tries += 1
        refusals += replies[0] is not None
        for reply in replies:
            if reply is not None and reply["status"] == 201:
                outcome = {"outcome": "ok", "order_id": reply["order_id"], "replay": reply["replay"]}
                return {"reference": reference, "tries": tries, **outcome}
        await asyncio.sleep(PAUSE_SECONDS)
    return {"reference": reference, "tries": tries, "outcome": "unfinished"}


async def main(
    port: int,
    history: TextIO,
    is_told_to_stop: Callable[[], bool],
    *,
    operations: int,
    clients: int,
) -> None:
    """Buy with several clients until told to stop and there were enough operations."""
    numbers = iter(range(1, sys.maxsize))

    async def client() -> None:
        while (number := next(numbers)) <= operations or not is_told_to_stop():
            history.write(json.dumps(await buy(port, number)) + "\n")
            history.flush()

    await asyncio.gather(*(client() for _ in range(clients)))


if __name__ == "__main__":
    with Path(sys.argv[2]).open("a", encoding="utf-8") as lines:
        buying = main(
            int(sys.argv[1]),
            lines,
            Path(sys.argv[3]).exists,
            operations=int(sys.argv[4]),
            clients=int(sys.argv[5]),
        )
        asyncio.run(buying)
