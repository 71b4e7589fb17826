"""The payment provider over HTTP: an outside company, by its own API.

A call ends in a fact, or in an error that says whether it may have been carried out. Nothing is repeated
here: whoever does not know what a call did has to ask before trying again, with the same key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from mambogo_chassis.client import HttpClient, Reply, UpstreamError
from mambogo_chassis.errors import ChassisError
from mambogo_chassis.http.deadlines import DeadlineExceededError

from mambogo_payment.adapters.metrics import PaymentMetrics
from mambogo_payment.domain.payment import Fact, Payment, ProviderStatus

_OK: Final = 200
# The request was understood, and can never be carried out.
_CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422

T = TypeVar("T")


class ProviderError(ChassisError):
    """The provider gave no usable answer. `is_unknown`: the call may have been carried out."""

    code = "provider"

    def __init__(self, message: str, *, is_unknown: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.is_unknown = is_unknown


class _Payment(msgspec.Struct):
    """A payment as the provider shows it; what else it shows is passed over."""

    id: str
    status: ProviderStatus
    decline_reason: str | None = None

    def fact(self) -> Fact:
        return Fact(self.id, self.status, self.decline_reason)


class _Payments(msgspec.Struct):
    payments: list[_Payment]


class _Refusal(msgspec.Struct):
    error: str
    payment: _Payment | None = None


class Provider:
    """The operations that payment-service uses."""

    def __init__(self, client: HttpClient, *, api_key: str, metrics: PaymentMetrics) -> None:
        self._client = client
        self._api_key = api_key
        self._metrics = metrics

    async def find(self, payment: Payment) -> Sequence[Fact]:
        """Everything that the provider has under the payment's reference; raises ProviderError."""
        reply = await self._call("find", "GET", f"/v1/payments?reference={payment.reference}")
        return [found.fact() for found in self._expect("find", reply, _Payments).payments]

    async def authorise(self, payment: Payment) -> Fact:
        """Ask for the money; a request that can never be carried out is declined. Raises ProviderError."""
        assert payment.money is not None  # noqa: S101 - only reserved orders are worked on
        body = {
            "reference": payment.reference,
            "amount_minor": payment.money.amount_minor,
            "currency": payment.money.currency,
        }
        reply = await self._call("authorise", "POST", "/v1/payments", body, key=payment.reference)
        if reply.status == _UNPROCESSABLE:
            self._metrics.called("authorise", "refused")
            return Fact("", "declined", _decode(reply, _Refusal).error)
        return self._expect("authorise", reply, _Payment).fact()

    async def capture(self, payment: Payment, provider_id: str) -> Fact:
        """Take the money; where that is too late, what happened to it instead. Raises ProviderError."""
        path = f"/v1/payments/{quote(provider_id, safe='')}/capture"
        return self._fact("capture", await self._call("capture", "POST", path, key=payment.reference))

    async def refund(self, payment: Payment, provider_id: str) -> Fact:
        """Give the money back; raises ProviderError."""
        assert payment.money is not None  # noqa: S101 - it was captured
        assert payment.refund_id is not None  # noqa: S101 - set together with the state
        key = str(payment.refund_id)
        body = {"reference": key, "amount_minor": payment.money.amount_minor}
        path = f"/v1/payments/{quote(provider_id, safe='')}/refunds"
        return self._fact("refund", await self._call("refund", "POST", path, body, key=key))

    async def close(self, payment: Payment) -> Sequence[Fact]:
        """Void what can be voided, and let nothing new come under the reference; raises ProviderError.

        A worker that was held up before its call and makes it now is declined by the provider.
        """
        path = f"/v1/references/{payment.reference}/closure"
        reply = await self._call("close", "POST", path)
        return [found.fact() for found in self._expect("close", reply, _Payments).payments]

    async def _call(
        self, operation: str, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> Reply:
        try:
            reply = await self._client.call(method, path, json=body, idempotency_key=key, token=self._api_key)
        except DeadlineExceededError as error:
            raise self._failed(operation, str(error), is_unknown=False) from error
        except UpstreamError as error:
            is_unknown = error.sent and method != "GET"
            raise self._failed(operation, str(error), is_unknown=is_unknown) from error
        if reply.status >= 500:
            message = f"{operation} was answered {reply.status}"
            raise self._failed(operation, message, is_unknown=method != "GET")
        return reply

    def _fact(self, operation: str, reply: Reply) -> Fact:
        """The payment in an answer, also in one that refuses because of its state."""
        if reply.status == _CONFLICT:
            refusal = _decode(reply, _Refusal)
            if refusal.payment is not None:
                self._metrics.called(operation, "refused")
                return refusal.payment.fact()
        return self._expect(operation, reply, _Payment).fact()

    def _expect(self, operation: str, reply: Reply, kind: type[T]) -> T:
        if reply.status != _OK:
            self._metrics.called(operation, "refused")
            raise ProviderError(
                f"{operation} was answered {reply.status}",
                is_unknown=False,
                hint="are the provider's address and key right?",
            )
        self._metrics.called(operation, "ok")
        return _decode(reply, kind)

    def _failed(self, operation: str, message: str, *, is_unknown: bool) -> ProviderError:
        self._metrics.called(operation, "unknown" if is_unknown else "unavailable")
        return ProviderError(message, is_unknown=is_unknown, hint="it is asked again")


def _decode(reply: Reply, kind: type[T]) -> T:
    try:
        decoded: Any = msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProviderError(f"an answer that cannot be read: {error}", is_unknown=True) from error
    return decoded  # type: ignore[no-any-return] # of the type that was asked for
