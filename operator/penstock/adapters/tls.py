"""Whom a connection trusts and what it shows: PEM in memory to TLS contexts."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from penstock.adapters.cancellable_requests import TlsOptions
from penstock.adapters.credentials import Credentials, CredentialsUnavailable
from penstock.domain.source_status import SourceReason


def trust(credentials: Credentials) -> TlsOptions:
    """How the source itself is spoken to.

    Raises:
        CredentialsUnavailable: the certificates or the key cannot be used.
    """
    made = None
    if credentials.ca is not None or credentials.certificate is not None:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if credentials.ca is not None:
            _trust(made, credentials.ca)
        if credentials.certificate is not None:
            _show(made, *credentials.certificate)
    return TlsOptions(made, credentials.ca is not None, credentials.server_name)


def token_server_trust(credentials: Credentials) -> TlsOptions:
    """How a token server is spoken to: one of our own or a public one, so both are trusted.

    Raises:
        CredentialsUnavailable: the certificates cannot be used.
    """
    if credentials.ca is None:
        return TlsOptions()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _trust(made, credentials.ca)
    return TlsOptions(made)


def _trust(into: ssl.SSLContext, ca: bytes) -> None:
    try:
        into.load_verify_locations(cadata=ca.decode("ascii"))
    except (ssl.SSLError, ValueError):
        message = "spec.tls.caRef: this is not a PEM certificate; correct it"
        raise CredentialsUnavailable(SourceReason.SECRET_INVALID, message) from None


def _show(made: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python reads a key from a file only: one for our eyes, gone as soon as it has been read."""
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        chain = Path(folder) / "pair.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(certificate + b"\n" + key)
        try:
            made.load_cert_chain(chain, password=lambda: b"")  # without one it would ask a terminal
        except (ssl.SSLError, ValueError):
            message = (
                "spec.tls.clientCertificateRef: tls.crt and tls.key are not a PEM key pair, or the "
                "key is encrypted; correct them"
            )
            raise CredentialsUnavailable(SourceReason.SECRET_INVALID, message) from None
