"""The edge's certificate and the authority behind it: made once, kept, renewed in time."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, ServerVerifier, Store, VerificationError
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.certificates import AUTHORITY_FILE, EDGE_HOST, FOLDER, Certificate, keep

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _verifier(state: Path, subject: x509.DNSName | x509.IPAddress, at: datetime) -> ServerVerifier:
    authority = x509.load_pem_x509_certificate((state / FOLDER / AUTHORITY_FILE).read_bytes())
    return PolicyBuilder().store(Store([authority])).time(at).build_server_verifier(subject)


def _certificate(kept: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(kept.certificate.encode())


@pytest.mark.parametrize(
    "subject",
    [x509.DNSName(EDGE_HOST), x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))],
    ids=["host", "localhost", "address"],
)
def test_who_trusts_the_authority_trusts_the_edge(
    tmp_path: Path, subject: x509.DNSName | x509.IPAddress
) -> None:
    kept = keep(tmp_path, now=_NOW)
    _verifier(tmp_path, subject, _NOW).verify(_certificate(kept), [])


def test_no_other_name_is_spoken_for(tmp_path: Path) -> None:
    kept = keep(tmp_path, now=_NOW)
    with pytest.raises(VerificationError):
        _verifier(tmp_path, x509.DNSName("mambogo.com"), _NOW).verify(_certificate(kept), [])


def test_the_authority_may_speak_for_this_machine_only(tmp_path: Path) -> None:
    keep(tmp_path, now=_NOW)
    authority = x509.load_pem_x509_certificate((tmp_path / FOLDER / AUTHORITY_FILE).read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    names = {str(one.value) for one in constraints.value.permitted_subtrees or ()}
    assert constraints.critical
    assert names == {EDGE_HOST, "localhost", "127.0.0.1/32"}


def test_both_are_kept(tmp_path: Path) -> None:
    first = keep(tmp_path, now=_NOW)
    assert keep(tmp_path, now=_NOW + timedelta(days=300)) == first


def test_a_certificate_that_ends_soon_is_renewed_by_the_same_authority(tmp_path: Path) -> None:
    first = keep(tmp_path, now=_NOW)
    authority = (tmp_path / FOLDER / AUTHORITY_FILE).read_bytes()
    later = _NOW + timedelta(days=380)
    renewed = keep(tmp_path, now=later)
    assert renewed != first
    assert (tmp_path / FOLDER / AUTHORITY_FILE).read_bytes() == authority
    much_later = _verifier(tmp_path, x509.DNSName(EDGE_HOST), later + timedelta(days=300))
    much_later.verify(_certificate(renewed), [])


def test_a_certificate_of_a_lost_authority_is_made_anew(tmp_path: Path) -> None:
    first = keep(tmp_path, now=_NOW)
    (tmp_path / FOLDER / AUTHORITY_FILE).unlink()
    second = keep(tmp_path, now=_NOW)
    assert second != first
    _verifier(tmp_path, x509.DNSName(EDGE_HOST), _NOW).verify(_certificate(second), [])


def test_only_the_owner_reads_the_keys(tmp_path: Path) -> None:
    keep(tmp_path, now=_NOW)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / FOLDER).iterdir()}
    assert modes == {0o600}


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem", "edge.pem", "edge-key.pem"])
def test_a_damaged_file_is_refused_and_left(tmp_path: Path, name: str) -> None:
    keep(tmp_path, now=_NOW)
    (tmp_path / FOLDER / name).write_text("-----BEGIN")
    with pytest.raises(ConfigurationError) as caught:
        keep(tmp_path, now=_NOW)
    assert caught.value.code == "CERTIFICATE_DAMAGED"
    assert (tmp_path / FOLDER / name).read_text() == "-----BEGIN"


def test_a_key_that_is_another_s_is_refused(tmp_path: Path) -> None:
    keep(tmp_path / "one", now=_NOW)
    keep(tmp_path / "other", now=_NOW)
    other = (tmp_path / "other" / FOLDER / "edge-key.pem").read_text()
    (tmp_path / "one" / FOLDER / "edge-key.pem").write_text(other)
    with pytest.raises(ConfigurationError, match="is not the key of"):
        keep(tmp_path / "one", now=_NOW)


def test_no_key_is_shown(tmp_path: Path) -> None:
    kept = keep(tmp_path, now=_NOW)
    assert kept.key not in f"{kept!r} {kept}"
