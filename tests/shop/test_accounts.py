"""The accounts of the stack, from its credentials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop import accounts
from rehearsal.shop.client import ADMINISTRATOR

CREDENTIALS = {"shopper_password": "a", "shopkeeper_password": "b", "harness_client_secret": "c"}


def test_stages_share_no_shopper() -> None:
    every = [*accounts.OF_CONTRACT, *accounts.OF_FUZZING, *accounts.OF_LOAD, *accounts.OF_CHAOS]

    assert len(set(every)) == len(every)
    assert set(every) <= set(accounts.accounts(CREDENTIALS))


def test_administrator_is_the_shopkeeper() -> None:
    keeper = accounts.accounts(CREDENTIALS)[ADMINISTRATOR]

    assert (keeper.username, keeper.password) == ("shopkeeper", "b")
    assert "inventory:write" in keeper.scope


def test_credentials_are_read_from_the_state_folder(tmp_path: Path) -> None:
    (tmp_path / accounts.CREDENTIALS).write_text(json.dumps(CREDENTIALS), encoding="utf-8")

    assert accounts.read_credentials(tmp_path) == CREDENTIALS


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_missing_or_broken_credentials_are_an_environment_that_is_not_ready(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / accounts.CREDENTIALS).write_text(content, encoding="utf-8")

    with pytest.raises(EnvironmentNotReadyError):
        accounts.read_credentials(tmp_path)


def test_secret_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="shopper_password"):
        accounts.accounts({})
