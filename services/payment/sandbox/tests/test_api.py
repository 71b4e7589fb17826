"""The provider's operations, its idempotency and its switches."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from support.merchant import Merchant


async def test_an_authorised_payment_is_captured(merchant: Merchant) -> None:
    payment = await merchant.authorise()
    assert payment["status"] == "authorised"
    assert (await merchant.capture(payment))[1]["status"] == "captured"
    assert await merchant.kinds() == ["authorised", "captured"]


async def test_a_key_that_comes_again_gets_the_same_answer_and_does_nothing(merchant: Merchant) -> None:
    first = await merchant.authorise()
    await merchant.capture(first)
    # The stored answer: as it was then, not as the payment is now.
    assert await merchant.authorise() == first
    assert (await merchant.capture(first))[1]["status"] == "captured"
    assert await merchant.kinds() == ["authorised", "captured"]


async def test_a_new_key_is_a_new_payment(merchant: Merchant) -> None:
    assert (await merchant.authorise("k1"))["id"] != (await merchant.authorise("k2"))["id"]
    _, found = await merchant.call("GET", "/v1/payments?reference=r1")
    assert len(found["payments"]) == 2


async def test_a_key_with_another_request_is_refused(merchant: Merchant) -> None:
    await merchant.authorise(amount_minor=1000)
    assert await merchant.authorise(amount_minor=1001) == {"error": "key-reused", "payment": None}


async def test_a_second_capture_under_a_new_key_is_refused(merchant: Merchant) -> None:
    payment = await merchant.authorise()
    await merchant.capture(payment)
    status, answer = await merchant.capture(payment, "k2")
    assert (status, answer["error"], answer["payment"]["status"]) == (409, "not-authorised", "captured")


async def test_refunds_never_exceed_the_capture(merchant: Merchant) -> None:
    payment = await merchant.authorise(amount_minor=1000)
    await merchant.capture(payment)
    assert (await merchant.refund(payment, 400, "f1"))[1]["status"] == "captured"
    assert (await merchant.refund(payment, 601, "f2"))[0] == 409
    assert (await merchant.refund(payment, 600, "f3"))[1]["status"] == "refunded"


async def test_an_uncaptured_payment_is_not_refunded(merchant: Merchant) -> None:
    assert (await merchant.refund(await merchant.authorise(), 1))[0] == 409


async def test_a_closed_reference_voids_and_declines(merchant: Merchant) -> None:
    payment = await merchant.authorise()
    _, closed = await merchant.call("POST", "/v1/references/r1/closure")
    assert [found["status"] for found in closed["payments"]] == ["voided"]
    assert (await merchant.capture(payment))[0] == 409
    assert (await merchant.authorise("k2"))["decline_reason"] == "reference-closed"


async def test_closing_again_changes_nothing(merchant: Merchant) -> None:
    for _ in range(2):
        await merchant.call("POST", "/v1/references/unheard-of/closure")
    assert await merchant.kinds() == ["closed"]


async def test_closing_leaves_a_captured_payment_alone(merchant: Merchant) -> None:
    await merchant.capture(await merchant.authorise())
    _, closed = await merchant.call("POST", "/v1/references/r1/closure")
    assert closed["payments"][0]["status"] == "captured"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reference": "r", "amount_minor": 0, "currency": "EUR"}, 400),
        ({"reference": "r", "amount_minor": -5, "currency": "EUR"}, 400),
        ({"reference": "r", "amount_minor": 10**30, "currency": "EUR"}, 400),
        ({"reference": "r", "amount_minor": 5, "currency": "XXX"}, 422),
        ({"reference": "r", "amount_minor": 5, "currency": "EUR", "status": "captured"}, 400),
        ([], 400),
    ],
)
async def test_bad_requests_do_nothing(merchant: Merchant, body: object, status: int) -> None:
    assert (await merchant.call("POST", "/v1/payments", body, key="k1"))[0] == status
    assert await merchant.kinds() == []


async def test_a_foreign_key_is_refused(merchant: Merchant) -> None:
    assert (await merchant.call("GET", "/v1/payments?reference=r1", api_key="wrong"))[0] == 401


async def test_a_post_without_an_idempotency_key_is_refused(merchant: Merchant) -> None:
    body = {"reference": "r", "amount_minor": 5, "currency": "EUR"}
    assert (await merchant.call("POST", "/v1/payments", body))[0] == 400


async def test_amounts_are_declined_by_their_ending(merchant: Merchant) -> None:
    await merchant.switch(decline_amounts_ending=["13"])
    assert (await merchant.authorise("k1", amount_minor=1013))["decline_reason"] == "insufficient-funds"
    assert (await merchant.authorise("k2", amount_minor=1014))["status"] == "authorised"


async def test_a_lost_reply_is_a_reset_and_the_work_is_done(merchant: Merchant) -> None:
    await merchant.switch(lost_reply_every=1)
    with pytest.raises(aiohttp.ClientError):
        await merchant.authorise()
    assert await merchant.kinds() == ["authorised"]
    await merchant.switch()
    assert (await merchant.authorise())["status"] == "authorised"
    assert await merchant.kinds() == ["authorised"]


async def test_down_does_nothing(merchant: Merchant) -> None:
    await merchant.switch(down=True)
    with pytest.raises(aiohttp.ClientError):
        await merchant.authorise()
    await merchant.switch()
    assert await merchant.kinds() == []


async def test_a_slow_provider_has_done_its_work_before_it_answers(merchant: Merchant) -> None:
    await merchant.switch(slow_seconds=600)
    waiting = asyncio.create_task(merchant.authorise())
    while await merchant.kinds() != ["authorised"]:  # noqa: ASYNC110 - it is the sandbox that knows
        await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()


async def test_an_unknown_switch_is_refused(merchant: Merchant) -> None:
    assert (await merchant.call("PUT", "/admin/switches", {"explode": True}))[0] == 400
