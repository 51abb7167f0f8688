"""Credentials and trusted certificates of a source, read from where its manifest says.

Each Secret is read by its name, so the permission to get that one is enough, and read again every
minute: a rotated Secret is used without a restart. When a server rejects the credentials, they are
read sooner.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import (
    BasicAuth,
    BearerAuth,
    Header,
    MetricsSource,
    OAuth2Auth,
    Tls,
    TokenFileAuth,
)
from penstock.domain.refs import SecretKeyRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceReason
from penstock.engine.ports import Clock
from penstock.errors import ClusterError, Forbidden, NotFound

TOKEN_FOLDER = Path("/etc/penstock/tokens")
LOOK_AGAIN_SECONDS, INVALIDATED_SECONDS = 60.0, 10.0
# A Secret in use is read every minute; one that was not read for this time is dropped.
FORGOTTEN_SECONDS = 600.0
READ_SECONDS = 5.0
LARGEST_TOKEN = 64 << 10
# What an HTTP header can carry; a line break in it would begin another header.
_PRINTABLE = re.compile(r"[ -~]+")
_TOKEN = re.compile(r"[!-~]+")

Data = Mapping[str, bytes]
ReadSecret = Callable[[str, str], Awaitable[Data]]


class CredentialsUnavailable(Exception):
    """The credentials of the source are unusable.

    Attributes:
        reason: the reason in the source's status.
        detail: the field, what is wrong with it, and what to do.
    """

    def __init__(self, reason: SourceReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail

    @property
    def evidence(self) -> Evidence:
        """The same as evidence for an SLO: the source would not authenticate us."""
        return Evidence(EvidenceKind.UNAUTHORIZED, self.detail)


@dataclass(frozen=True, slots=True, repr=False)
class Client:
    """Client credentials, which are exchanged for tokens."""

    token_url: str
    name: str
    secret: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """All that one source is sent and trusts. It has no repr: nothing prints it by accident."""

    basic: tuple[str, str] | None = None
    bearer: str | None = None
    client: Client | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ca: bytes | None = None
    certificate: tuple[bytes, bytes] | None = None
    server_name: str | None = None

    def confidential(self) -> Iterator[str]:
        """Every text that must not be repeated to anybody."""
        if self.basic is not None:
            yield self.basic[1]
            yield ":".join(self.basic)
        if self.bearer is not None:
            yield self.bearer
        if self.client is not None:
            yield self.client.secret
            yield f"{quote_plus(self.client.name)}:{quote_plus(self.client.secret)}"
        yield from (value for _, value in self.headers)


@dataclass(slots=True)
class _CachedSecret:
    """What was read, or why it could not be, and when on the monotonic clock."""

    data: Data | CredentialsUnavailable
    at: float
    invalidated: bool = False


class CredentialCache:
    """Credentials of all sources, kept only in memory."""

    def __init__(
        self, read: ReadSecret, clock: Clock, namespace: str = "", tokens: Path = TOKEN_FOLDER
    ) -> None:
        """``namespace`` is the operator's own, ``tokens`` the folder for auth.tokenFile."""
        self._read, self._clock, self._namespace, self._tokens = read, clock, namespace, tokens
        self._kept: dict[tuple[str, str], _CachedSecret] = {}
        self._reading: dict[tuple[str, str], asyncio.Lock] = {}

    async def credentials(self, source: MetricsSource) -> Credentials:
        """What a source's manifest refers to, no older than a minute.

        Raises:
            CredentialsUnavailable: something is missing, forbidden, or not usable.
        """
        found = Credentials(
            headers=tuple([await self._header(source, *one) for one in enumerate(source.headers)]),
            **await self._tls(source, source.tls),
        )
        match source.auth:
            case BasicAuth(username, password):
                secret = await self._text(source, "spec.auth.basic.passwordRef", password)
                return _with(found, basic=(username, secret))
            case BearerAuth(token):
                field = "spec.auth.bearer.tokenRef"
                return _with(found, bearer=_token(field, await self._text(source, field, token)))
            case OAuth2Auth(url, name, secret_ref, scopes):
                field = "spec.auth.oauth2.clientSecretRef"
                secret = await self._text(source, field, secret_ref)
                return _with(found, client=Client(url, name, secret, scopes))
            case TokenFileAuth(path):
                return _with(found, bearer=await self._file(path))
        return found

    def invalidate(self, source: MetricsSource) -> None:
        """A server rejected the credentials: read again soon, they may be fixed or rotated."""
        for key in _keys(source, self._namespace):
            if key in self._kept:
                self._kept[key].invalidated = True

    async def _header(self, source: MetricsSource, index: int, header: Header) -> tuple[str, str]:
        if isinstance(header.value, str):
            return header.name, header.value
        field = f"spec.headers[{index}].valueFrom"
        value = await self._text(source, field, header.value)
        if not _PRINTABLE.fullmatch(value):
            raise _unusable(field, "is empty or has characters that a header may not contain")
        return header.name, value

    async def _tls(self, source: MetricsSource, tls: Tls) -> dict[str, Any]:
        ca = await self._bytes(source, "spec.tls.caRef", tls.ca) if tls.ca else None
        pair = None
        if tls.client_certificate:
            field = "spec.tls.clientCertificateRef"
            refs = (SecretKeyRef(tls.client_certificate, key) for key in ("tls.crt", "tls.key"))
            certificate, key = [await self._bytes(source, field, ref) for ref in refs]
            pair = certificate, key
        return {"ca": ca, "certificate": pair, "server_name": tls.server_name}

    async def _text(self, source: MetricsSource, field: str, ref: SecretKeyRef) -> str:
        """A key's text, without the line break that editors and `echo` leave at its end."""
        content = await self._bytes(source, field, ref)
        try:
            text = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise _unusable(field, f"key {ref.key} of Secret {ref.name} is not text") from None
        if not text:
            raise _unusable(field, f"key {ref.key} of Secret {ref.name} is empty")
        return text

    async def _bytes(self, source: MetricsSource, field: str, ref: SecretKeyRef) -> bytes:
        namespace = _namespace(source, self._namespace)
        if not namespace:
            raise CredentialsUnavailable(
                SourceReason.SECRET_NOT_FOUND,
                f"{field}: the operator does not know its own namespace; start it with "
                "--lease-namespace",
            )
        data = await self._secret(namespace, ref.name)
        if isinstance(data, CredentialsUnavailable):
            raise CredentialsUnavailable(data.reason, f"{field}: {data.detail}")
        if ref.key not in data:
            raise CredentialsUnavailable(
                SourceReason.SECRET_NOT_FOUND,
                f"{field}: Secret {ref.name} in namespace {namespace} has no key {ref.key}; add it",
            )
        return data[ref.key]

    async def _secret(self, namespace: str, name: str) -> Data | CredentialsUnavailable:
        key = (namespace, name)
        async with self._reading.setdefault(key, asyncio.Lock()):
            kept, now = self._kept.get(key), self._clock.monotonic()
            if kept is not None and not _is_old(kept, now):
                return kept.data
            self._forget(now)
            found = await self._asked(namespace, name)
            if found is None:  # the API server does not answer: what was read last is still used
                found = kept.data if kept else _away(namespace, name)
            self._kept[key] = _CachedSecret(found, now)
            return found

    def _forget(self, now: float) -> None:
        for key in [k for k, kept in self._kept.items() if now - kept.at > FORGOTTEN_SECONDS]:
            del self._kept[key]
            self._reading.pop(key, None)

    async def _asked(self, namespace: str, name: str) -> Data | CredentialsUnavailable | None:
        where = f"Secret {name} in namespace {namespace}"
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self._read(namespace, name)
        except NotFound:
            message = f"there is no {where}; create it"
            return CredentialsUnavailable(SourceReason.SECRET_NOT_FOUND, message)
        except Forbidden:
            message = f'Penstock may not read {where}; grant its service account "get" on it there'
            return CredentialsUnavailable(SourceReason.SECRET_FORBIDDEN, message)
        except (ClusterError, TimeoutError):
            return None

    async def _file(self, path: str) -> str:
        key, now = ("", path), self._clock.monotonic()
        kept = self._kept.get(key)
        if kept is None or _is_old(kept, now):
            self._forget(now)
            found = await asyncio.to_thread(_token_file, self._tokens, path)
            kept = self._kept[key] = _CachedSecret(found, now)
        if isinstance(kept.data, CredentialsUnavailable):
            raise CredentialsUnavailable(kept.data.reason, kept.data.detail)
        return _token("spec.auth.tokenFile", kept.data[path].decode(errors="replace").strip())


def _with(found: Credentials, **more: Any) -> Credentials:
    return replace(found, **more)


def _is_old(kept: _CachedSecret, now: float) -> bool:
    again = kept.invalidated or isinstance(kept.data, CredentialsUnavailable)
    return now - kept.at >= (INVALIDATED_SECONDS if again else LOOK_AGAIN_SECONDS)


def _namespace(source: MetricsSource, own: str) -> str:
    return source.ref.namespace if source.kind is SourceKind.METRICS_SOURCE else own


def _keys(source: MetricsSource, own: str) -> Iterator[tuple[str, str]]:
    """The names under which a source's Secrets are cached."""
    if isinstance(source.auth, TokenFileAuth):
        yield "", source.auth.path
    refs = [header.value for header in source.headers] + [source.tls.ca]
    match source.auth:
        case BasicAuth(_, ref) | BearerAuth(ref) | OAuth2Auth(_, _, ref, _):
            refs.append(ref)
    names = [ref.name for ref in refs if isinstance(ref, SecretKeyRef)]
    for name in (*names, source.tls.client_certificate):
        if name:
            yield _namespace(source, own), name


def _token_file(folder: Path, path: str) -> Data | CredentialsUnavailable:
    """A token in a file; links inside the folder are followed, as in a mounted Secret."""
    wanted = folder / Path(path).relative_to(TOKEN_FOLDER)
    try:
        real = wanted.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            message = (
                f"spec.auth.tokenFile: {path} leads out of {TOKEN_FOLDER}; mount the token there"
            )
            return CredentialsUnavailable(SourceReason.SECRET_INVALID, message)
        with real.open("rb") as file:
            return {path: file.read(LARGEST_TOKEN)}
    except (OSError, ValueError, RuntimeError):
        message = f"spec.auth.tokenFile: {path} cannot be read; mount it into the operator's pod"
        return CredentialsUnavailable(SourceReason.SECRET_NOT_FOUND, message)


def _token(field: str, text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise _unusable(field, "the token is empty or contains invalid characters")
    return text


def _away(namespace: str, name: str) -> CredentialsUnavailable:
    message = (
        f"the API server does not answer, so Secret {name} in namespace {namespace} is not known"
    )
    return CredentialsUnavailable(SourceReason.SECRET_NOT_FOUND, message)


def _unusable(field: str, what: str) -> CredentialsUnavailable:
    return CredentialsUnavailable(SourceReason.SECRET_INVALID, f"{field}: {what}; correct it")
