"""Every request is in the history, whatever came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from rehearsal.chaos.proving.operations import Operation, operations_of
from rehearsal.shop.answers import Kind
from rehearsal.shop.history import History, read

from mambogo_audit.asking import Asker, Entry, Request

TOKEN = "any"  # noqa: S105 - nobody reads it
Handler = Callable[[web.Request], web.Response]


def ask(tmp_path: Path, handle: Handler, *, until_clear: bool = False) -> list[Operation]:
    """What the history holds after one thing was asked of a server."""

    async def run() -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return handle(request)

        app = web.Application()
        app.add_routes([web.post("/orders", answer)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            with History(tmp_path / "history.jsonl") as history:
                async with aiohttp.ClientSession() as session:
                    urls = {"order": f"http://127.0.0.1:{port}"}
                    asker = Asker(session, urls, history, process="p", token=TOKEN, attempts=count(1))
                    entry = Entry("place_order", "op", {"lines": []}, "user/key")
                    request = Request("POST", "order", "/orders", {"lines": []}, "key")
                    await (asker.until_clear if until_clear else asker.ask)(entry, request)
        finally:
            await runner.cleanup()

    asyncio.run(run())
    return operations_of(read(tmp_path / "history.jsonl"))


def cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response(status=500)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(201, Kind.OK), (404, Kind.FAIL), (409, Kind.INFO), (503, Kind.INFO)],
)
def test_an_answer_is_in_the_history(tmp_path: Path, status: int, kind: Kind) -> None:
    (operation,) = ask(tmp_path, lambda _: web.json_response({"order_id": "o", "secret": 1}, status=status))
    assert (operation.kind, operation.status, operation.answered) == (kind, status, {"order_id": "o"})


def test_no_answer_is_an_unknown_outcome(tmp_path: Path) -> None:
    (operation,) = ask(tmp_path, cut)
    assert (operation.kind, operation.status) == (Kind.INFO, None)


def test_each_attempt_is_an_entry_of_its_own(tmp_path: Path) -> None:
    answers = iter([503, 409, 201])
    made = ask(tmp_path, lambda _: web.json_response({}, status=next(answers)), until_clear=True)
    assert [one.kind for one in made] == [Kind.INFO, Kind.INFO, Kind.OK]
    assert {(one.op_id, one.key) for one in made} == {("op", "user/key")}


def test_the_key_that_is_sent_is_not_the_one_of_the_history(tmp_path: Path) -> None:
    sent: list[str] = []

    def handle(request: web.Request) -> web.Response:
        sent.append(request.headers["Idempotency-Key"])
        return web.json_response({})

    (operation,) = ask(tmp_path, handle)
    assert (sent, operation.key) == (["key"], "user/key")
