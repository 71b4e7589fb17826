"""Credentials: made once, kept, and shown nowhere."""

from __future__ import annotations

import json
import stat
from base64 import b64decode
from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.certificates import Certificate
from rehearsal.deploy.credentials import FILE_NAME, Credentials, keep, secret_manifests
from rehearsal.deploy.manifests import named


def test_they_are_kept(tmp_path: Path) -> None:
    assert keep(tmp_path) == keep(tmp_path)


def test_no_two_are_alike(tmp_path: Path) -> None:
    keep(tmp_path)
    values = json.loads((tmp_path / FILE_NAME).read_text()).values()
    assert len(set(values)) == len(values)


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    keep(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_what_a_new_version_needs_is_added_and_the_rest_stays(tmp_path: Path) -> None:
    before = keep(tmp_path)
    content = json.loads((tmp_path / FILE_NAME).read_text())
    del content["redis_password"]
    (tmp_path / FILE_NAME).write_text(json.dumps(content))
    after = keep(tmp_path)
    assert after.postgres_password == before.postgres_password
    assert after.redis_password != before.redis_password


@pytest.mark.parametrize("content", ["{", "[]", '{"redis_password": 5}'])
def test_a_damaged_file_is_refused_and_left(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        keep(tmp_path)
    assert caught.value.code == "CREDENTIALS_DAMAGED"
    assert (tmp_path / FILE_NAME).read_text() == content


def test_no_value_is_shown(tmp_path: Path) -> None:
    made = keep(tmp_path)
    assert made.redis_password not in f"{made!r} {made}"


def test_a_role_has_one_password_wherever_it_is_asked_for(tmp_path: Path) -> None:
    made = keep(tmp_path)
    secrets = secret_manifests(made, Certificate("", ""))
    service = named(secrets, "Secret", "orders-database")["data"]["password"]
    server = named(secrets, "Secret", "postgres-roles")["data"]["orders"]
    assert b64decode(service).decode() == b64decode(server).decode() == made.orders_password


def test_the_fields_are_those_that_the_reference_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "stack.md").read_text()
    assert [name for name in Credentials.__slots__ if f"`{name}`" not in page] == []
