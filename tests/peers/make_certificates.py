"""Certificates for tests of TLS: two authorities, servers with and without faults, servers that sign themselves, clients.

Usage: make_certificates.py FOLDER
Writes NAME.pem and NAME.key of each.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
HERE = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def made(folder, name, issuer=None, names=(), usage=None, until=NOW + DAY, authority=None):
    """Signs a certificate by `issuer`, a pair of certificate and key; without one it signs itself, as an authority unless
    `authority` is False."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, signing_key = issuer or (None, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 30 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=issuer is None if authority is None else authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    certificate = builder.sign(signing_key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return certificate, key


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    ours, others = made(folder, "authority"), made(folder, "stranger")
    made(folder, "server", ours, HERE, server)
    made(folder, "elsewhere", ours, [x509.DNSName("elsewhere.example")], server)
    made(folder, "expired", ours, HERE, server, until=NOW - DAY)
    made(folder, "self-signed-authority", names=HERE)
    made(folder, "self-signed-server", names=HERE, usage=server, authority=False)
    made(folder, "client", ours, usage=client)
    made(folder, "client-of-stranger", others, usage=client)


main(pathlib.Path(sys.argv[1]))
