"""What product-service publishes and writes is what `contract-tests/` says."""

from __future__ import annotations

from mambogo_chassis.service import Service
from mambogo_testkit.contracts import IDLE_WITH_EVENTS, Contract, differences, document_of

from mambogo_product.adapters.events import registry
from mambogo_product.settings import Settings
from mambogo_product.wiring import NAME, TITLE, build


def test_the_committed_contracts_are_what_the_code_says() -> None:
    service = Service.of(Settings(application_name=NAME, redis_host="127.0.0.1", **IDLE_WITH_EVENTS))
    document = document_of(service, TITLE, build(service))

    assert differences(Contract(NAME, document, registry)) == []
