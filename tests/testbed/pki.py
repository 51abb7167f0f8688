"""Keys and certificates of one bed: its own authority, and what that one signs.

Owns a folder of PEM files. All keys are elliptic: a fresh bed needs ten of them, which takes
milliseconds, where RSA would take seconds. Nothing is ever renewed, since a bed lives for a
session; keys are readable by their owner alone.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CLOCK_SKEW = timedelta(minutes=5)
_LIFETIME = timedelta(days=365)


class Pki:
    """A certificate authority made for one bed, and forgotten with it."""

    def __init__(self, folder: Path, *, authority: Path | None = None) -> None:
        """A new authority in `folder`, or the one whose folder is given as `authority`."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if authority is None:
            self._ca_key = _new_key()
            self._ca = self._sign_own()
            self._make_token_keys()
        else:
            self._ca_key = _private_key((authority / "ca.key").read_bytes())
            self._ca = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
        self._write("ca", self._ca_key, self._ca)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    def issue(
        self,
        name: str,
        common_name: str,
        organization: str | None = None,
        sans: Sequence[str] | None = None,
    ) -> None:
        """Write `name.crt` and `name.key`: a server's when it has `sans`, else a client's.

        To the API server a client is the user `common_name` in the group `organization`.
        """
        key = _new_key()
        usage = ExtendedKeyUsageOID.SERVER_AUTH if sans else ExtendedKeyUsageOID.CLIENT_AUTH
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key())
        builder = (
            _begun(_subject(common_name, organization), self._ca.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(issuer, critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if sans:
            names = x509.SubjectAlternativeName([_general_name(san) for san in sans])
            builder = builder.add_extension(names, critical=False)
        self._write(name, key, builder.sign(self._ca_key, hashes.SHA256()))

    def kubeconfig(self, path: Path, server: str, name: str) -> Path:
        """A kubeconfig of the client that was issued as `name`."""
        credentials = {
            "client-certificate-data": _encoded(self.folder / f"{name}.crt"),
            "client-key-data": _encoded(self.folder / f"{name}.key"),
        }
        return write_kubeconfig(path, server, self.ca_file, credentials)

    def _sign_own(self) -> x509.Certificate:
        name = _subject("testbed-ca", None)
        public = self._ca_key.public_key()
        signs = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            _begun(name, name, self._ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(signs, critical=True)
            .sign(self._ca_key, hashes.SHA256())
        )

    def _make_token_keys(self) -> None:
        """Tokens of service accounts are signed with `sa.key` and checked with `sa.pub`."""
        key = _new_key()
        write_private(self.folder / "sa.key", _private_pem(key))
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / "sa.pub").write_bytes(public)

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        write_private(self.folder / f"{name}.key", _private_pem(key))
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (self.folder / f"{name}.crt").write_bytes(pem)


def write_kubeconfig(
    path: Path,
    server: str,
    ca_file: Path,
    credentials: Mapping[str, str],
    namespace: str = "default",
) -> Path:
    """A kubeconfig in JSON, which is YAML as well, with everything embedded."""
    cluster = {"server": server, "certificate-authority-data": _encoded(ca_file)}
    context = {"cluster": "testbed", "user": "testbed", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testbed",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": dict(credentials)}],
        "contexts": [{"name": "testbed", "context": context}],
    }
    write_private(path, json.dumps(config, indent=1).encode())
    return path


def write_private(path: Path, content: bytes) -> None:
    """For the owner's eyes alone, also when the file was there before with other rights."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic one")
    return key


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _subject(common_name: str, organization: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _general_name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(san))
    except ValueError:
        return x509.DNSName(san)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
