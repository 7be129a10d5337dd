"""A certificate authority for one control plane: real certificates, so that clients verify what they talk to."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path  # noqa: TC003 - NamedTuple's fields are read at run time
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable

LIFETIME = dt.timedelta(days=30)
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVER_ADDRESSES = ("127.0.0.1", "::1")


class KeyPair(NamedTuple):
    """Paths of a PEM certificate and of its PEM private key."""

    certificate: Path
    key: Path


def new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Writes a new private key to `path` (PEM of SEC 1, as kube-apiserver wants it) and returns it."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(pem)
    return key


class Authority:
    """A certificate authority whose files lie in one folder."""

    def __init__(self, folder: Path) -> None:
        """Makes the authority's own key and certificate in `folder`."""
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self._name = _name("control-plane-ca", ())
        self._key = new_key(folder / "ca.key")
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        self._sign(builder, self.certificate)

    def server(self, name: str, *hosts: str) -> KeyPair:
        """Issues a certificate for a server on this machine's loopback addresses, and by these names."""
        names: list[x509.GeneralName] = [x509.DNSName(each) for each in (*SERVER_NAMES, *hosts)]
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in SERVER_ADDRESSES]
        extensions = [x509.SubjectAlternativeName(names), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]
        return self._issue(name, _name(name, ()), extensions)

    def client(self, file_name: str, user: str, groups: Iterable[str]) -> KeyPair:
        """Issues a certificate that Kubernetes reads as `user` (common name) in `groups` (organisations)."""
        return self._issue(file_name, _name(user, groups), [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])])

    def _issue(self, file_name: str, subject: x509.Name, extensions: Iterable[x509.ExtensionType]) -> KeyPair:
        pair = KeyPair(self.folder / f"{file_name}.crt", self.folder / f"{file_name}.key")
        key = new_key(pair.key)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = self._builder(subject, key.public_key()).add_extension(own, critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        self._sign(builder, pair.certificate)
        return pair

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
        )

    def _sign(self, builder: x509.CertificateBuilder, path: Path) -> None:
        certificate = builder.sign(self._key, hashes.SHA256())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(common_name: str, organisations: Iterable[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organisations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
