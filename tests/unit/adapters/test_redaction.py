"""What is confidential is in no text that has gone through discretion, however it was written."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.adapters.credentials import Client, Credentials
from penstock.adapters.prometheus_response import (
    MOST_QUOTED,
    HttpResponse,
    QueryError,
    as_vector,
    read,
)
from penstock.adapters.redaction import HIDDEN, TOKENS_REMEMBERED, Redactor
from support.decision_fixtures import NOW

SECRET = "pla/nted <secret>+%&'"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        html.escape(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_hidden_in_every_form_that_a_server_repeats_it_in(written):
    assert Redactor([SECRET]).redact(f"who is {written}?") == f"who is {HIDDEN}?"


def test_what_contains_another_is_hidden_whole():
    assert Redactor(["secret", "secret-and-more"]).redact("a secret-and-more") == f"a {HIDDEN}"


def test_a_word_of_three_letters_is_no_secret():
    assert Redactor(["abc"]).redact("abcdef") == "abcdef"


def test_the_latest_tokens_are_hidden_too():
    redactor = Redactor()
    for number in range(TOKENS_REMEMBERED + 1):
        redactor.add(f"token-{number}")
        redactor.add(f"token-{number}")
    assert redactor.redact("token-0 token-1 token-8") == f"token-0 {HIDDEN} {HIDDEN}"


@given(st.integers(0, 600))
def test_a_secret_is_not_cut_in_two_where_a_sentence_ends(before):
    told = {"status": "error", "error": "x" * before + SECRET}
    answer = HttpResponse(422, {}, json.dumps(told).encode())
    with pytest.raises(QueryError) as caught:
        read(as_vector, answer, NOW, Redactor([SECRET]).redact)
    assert "pla/" not in caught.value.detail
    assert len(caught.value.detail) < MOST_QUOTED + 50


def test_nothing_that_holds_a_secret_prints_it():
    client = Client("http://a", "name", SECRET)
    held = Credentials(("user", SECRET), SECRET, client, (("X", SECRET),), b"x", (b"y", b"z"))
    for one in (client, held, Redactor([SECRET])):
        assert SECRET not in repr(one)
        assert SECRET not in str(one)
    assert f"user:{SECRET}" in set(held.confidential())
