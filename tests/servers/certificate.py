"""A certificate authority of the test's own."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def certify(home: Path, address: str = "127.0.0.1", days: int = 1) -> None:
    """Write to `home` an authority, ``ca.pem``, and ``server.pem`` with ``server.key``, which it
    signed for `address`; good for `days` from now, expired where that is less than nothing."""
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    named = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    for name, key, extension in (
        ("ca", authority, x509.BasicConstraints(ca=True, path_length=None)),
        ("server", server, named),
    ):
        certificate = _unsigned(name, key, days if name == "server" else 1).add_extension(
            extension, critical=True
        )
        signed = certificate.sign(authority, hashes.SHA256())
        (home / f"{name}.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    private = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / "server.key").write_bytes(private)


def _unsigned(name: str, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .issuer_name(_named("ca"))
        .subject_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 9 * day)
        .not_valid_after(now + days * day)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"test {name}")])
