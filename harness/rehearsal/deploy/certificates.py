"""The edge's certificate, and the authority of this machine that signs it.

Both are made at the first `up` and kept in the state folder; the certificate is renewed before it ends, the
authority stays, so that whoever trusts it once need not do it again. Its name constraints (RFC 5280 4.2.1.10)
let it speak for nothing but this machine's own names: a lost key opens nobody's bank.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.private_files import write_private

EDGE_HOST = "mambogo.localhost"
FOLDER = "authority"
AUTHORITY_FILE = "ca.pem"
_AUTHORITY_DAYS = 3650  # as long as a checkout may live
_CERTIFICATE_DAYS = 397  # the longest that browsers take
_RENEWAL = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """A certificate and its key, as PEM."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Certificate(...)"


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def as_text(self) -> Certificate:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Certificate(self.certificate.public_bytes(Encoding.PEM).decode(), key.decode())


def keep(state: Path, *, now: datetime | None = None) -> Certificate:
    """Return the edge's certificate; what is not there yet, or ends within a month, is made and written.

    Raises ConfigurationError when a file is damaged.
    """
    at, folder = now or datetime.now(UTC), state / FOLDER
    authority = _kept(folder, "ca", at)
    if authority is None:
        authority = _make_authority(at)
        _write(folder, "ca", authority)
    edge = _kept(folder, "edge", at)
    if edge is None or not _signed(edge, authority):
        edge = _make_certificate(authority, at)
        _write(folder, "edge", edge)
    return edge.as_text()


def _kept(folder: Path, name: str, now: datetime) -> _Pair | None:
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        key = load_pem_private_key((folder / f"{name}-key.pem").read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError(f"{name}-key.pem is not the key of {name}.pem")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "CERTIFICATE_DAMAGED",
            f"{folder} holds what cannot be used: {error}",
            hint="Remove that folder; the authority that is then made has to be trusted anew.",
        ) from error
    return _Pair(certificate, key) if certificate.not_valid_after_utc - now > _RENEWAL else None


def _signed(one: _Pair, by: _Pair) -> bool:
    try:
        one.certificate.verify_directly_issued_by(by.certificate)
    except (InvalidSignature, ValueError):
        return False
    return True


def _write(folder: Path, name: str, pair: _Pair) -> None:
    # The key first: one without its certificate is as good as none, and both are made anew.
    text = pair.as_text()
    write_private(folder / f"{name}-key.pem", text.key)
    write_private(folder / f"{name}.pem", text.certificate)


def _make_authority(now: datetime) -> _Pair:
    own = (x509.DNSName(EDGE_HOST), x509.DNSName("localhost"), x509.IPAddress(IPv4Network("127.0.0.1/32")))
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Mambogo rehearsal on this machine")
    certificate = (
        _builder(name, name, key.public_key(), now, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(own, None), critical=True)
        .sign(key, SHA256())
    )
    return _Pair(certificate, key)


def _make_certificate(authority: _Pair, now: datetime) -> _Pair:
    names = (x509.DNSName(EDGE_HOST), x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1")))
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    issued_by = authority.certificate.subject
    certificate = (
        _builder(_name(EDGE_HOST), issued_by, key.public_key(), now, _CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority.key, SHA256())
    )
    return _Pair(certificate, key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
