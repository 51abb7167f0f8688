"""Keeps confidential texts out of messages of other programs.

A server may repeat our headers in its error message, verbatim or in another encoding. Texts for
people are redacted before they are cut: half a password at the end of a line would leak too.
"""

from __future__ import annotations

import base64
import html
from collections import deque
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

HIDDEN = "..."
# Shorter texts would garble every sentence, and are not secrets.
SHORTEST = 4
TOKENS_REMEMBERED = 8


class Redactor:
    """Texts that must not be repeated. It has no repr, so that it cannot reveal them itself."""

    __slots__ = ("_forms", "_tokens")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms = _forms(secrets)
        self._tokens: deque[str] = deque(maxlen=TOKENS_REMEMBERED)

    def add(self, token: str) -> None:
        """Add a new token; the latest few are remembered."""
        if token not in self._tokens:
            self._tokens.append(token)

    def redact(self, text: str) -> str:
        """The text without any of them, in any encoding."""
        for form in (*self._forms, *_forms(self._tokens)):
            text = text.replace(form, HIDDEN)
        return text


def _forms(secrets: Iterable[str]) -> list[str]:
    """Longest first, so that none is left of which a shorter one is a part."""
    forms = {form for secret in secrets for form in _written(secret)}
    return sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)


def _written(secret: str) -> Iterator[str]:
    """Verbatim, in an address, in HTML, and in base64, as basic authentication sends it."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield html.escape(secret)
    if len(secret) >= SHORTEST:
        yield base64.b64encode(secret.encode()).decode()
