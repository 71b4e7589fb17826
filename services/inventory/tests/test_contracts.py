"""What inventory-service publishes, writes and reads is what `contract-tests/` says."""

from __future__ import annotations

from mambogo_chassis.service import Service
from mambogo_testkit.contracts import IDLE_WITH_EVENTS, Contract, differences, document_of

from mambogo_inventory.adapters.events import registry
from mambogo_inventory.main import NAME, TITLE, build
from mambogo_inventory.settings import Settings


def test_the_committed_contracts_are_what_the_code_says() -> None:
    service = Service.of(Settings(application_name=NAME, **IDLE_WITH_EVENTS))
    document = document_of(service, TITLE, build(service))

    assert differences(Contract(NAME, document, registry)) == []
