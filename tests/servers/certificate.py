"""A certificate authority of the test's own."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def certify(home: Path) -> None:
    """Write to `home` an authority, ``ca.pem``, and ``server.pem`` with ``server.key``, which it
    signed for 127.0.0.1."""
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    for name, key, extension in (
        ("ca", authority, x509.BasicConstraints(ca=True, path_length=None)),
        ("server", server, address),
    ):
        certificate = _unsigned(name, key).add_extension(extension, critical=True)
        signed = certificate.sign(authority, hashes.SHA256())
        (home / f"{name}.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    private = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / "server.key").write_bytes(private)


def _unsigned(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .issuer_name(_named("ca"))
        .subject_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"test {name}")])
