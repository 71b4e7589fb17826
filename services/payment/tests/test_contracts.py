"""What payment-service publishes, writes and reads is what `contract-tests/` says."""

from __future__ import annotations

from typing import Any, Final

from mambogo_chassis.service import Service
from mambogo_testkit.contracts import IDLE_WITH_EVENTS, Contract, differences, document_of
from pydantic import SecretStr

from mambogo_payment.adapters.events import registry
from mambogo_payment.main import NAME, TITLE, build
from mambogo_payment.settings import Settings

PROVIDER: Final[dict[str, Any]] = {
    "provider_url": "http://127.0.0.1:1",
    "provider_api_key": SecretStr("none"),
    "provider_webhook_secret": SecretStr("none"),
}


def test_the_committed_contracts_are_what_the_code_says() -> None:
    service = Service.of(Settings(application_name=NAME, **PROVIDER, **IDLE_WITH_EVENTS))
    document = document_of(service, TITLE, build(service))

    assert differences(Contract(NAME, document, registry)) == []
