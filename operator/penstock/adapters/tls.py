"""What a connection trusts and presents: TLS contexts from PEM in memory."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from penstock.adapters.cancellable_requests import TlsOptions
from penstock.adapters.credentials import Credentials, CredentialsUnavailable
from penstock.domain.source_status import SourceReason


def trust(credentials: Credentials) -> TlsOptions:
    """TLS options for the source itself.

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
    """TLS options for a token server; it may be a public one, so system CAs are trusted too.

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
    """Python reads a key only from a file: a private one, removed as soon as it is read."""
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        chain = Path(folder) / "pair.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(certificate + b"\n" + key)
        try:
            made.load_cert_chain(chain, password=lambda: b"")  # else it would ask on the terminal
        except (ssl.SSLError, ValueError):
            message = (
                "spec.tls.clientCertificateRef: tls.crt and tls.key are not a PEM key pair, or the "
                "key is encrypted; correct them"
            )
            raise CredentialsUnavailable(SourceReason.SECRET_INVALID, message) from None
