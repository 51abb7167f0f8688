"""When a Secret is read, how long it serves, and what is told when it cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from penstock.adapters.credentials import (
    FORGOTTEN_SECONDS,
    INVALIDATED_SECONDS,
    LOOK_AGAIN_SECONDS,
    CredentialCache,
    Credentials,
    CredentialsUnavailable,
)
from penstock.domain.metrics_source import BearerAuth, MetricsSource, Tls
from penstock.domain.refs import SecretKeyRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceReason
from penstock.errors import ClusterError, Forbidden, NotFound, Unavailable
from support.clocks import MovedClock
from support.measuring import source

TOKEN = BearerAuth(SecretKeyRef("prometheus", "token"))
SOURCE = source("https://prometheus:9090", auth=TOKEN)


class Secrets:
    """What the API server says of the one Secret that there is, and how often it was asked."""

    def __init__(self) -> None:
        self.answer: Mapping[str, bytes] | ClusterError = {"token": b"first"}
        self.asked: list[tuple[str, str]] = []
        self.clock = MovedClock()
        self.vault = CredentialCache(self.read, self.clock, "penstock-system")

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        self.asked.append((namespace, name))
        await asyncio.sleep(0)
        if isinstance(self.answer, ClusterError):
            raise self.answer
        return self.answer

    def credentials(self, of: MetricsSource = SOURCE) -> Credentials:
        return asyncio.run(self.vault.credentials(of))

    def trouble(self, of: MetricsSource = SOURCE) -> CredentialsUnavailable:
        with pytest.raises(CredentialsUnavailable) as caught:
            self.credentials(of)
        return caught.value


@pytest.fixture
def api() -> Secrets:
    return Secrets()


def test_a_secret_is_read_once_a_minute_however_many_ask(api):
    async def many() -> list[Credentials]:
        two_fields = replace(SOURCE, tls=Tls(ca=SecretKeyRef("prometheus", "token")))
        asked = (api.vault.credentials(one) for one in [SOURCE, two_fields] * 5)
        return list(await asyncio.gather(*asked))

    assert {found.bearer for found in asyncio.run(many())} == {"first"}
    assert api.asked == [("shop", "prometheus")]
    api.answer = {"token": b"second"}
    api.clock.move(LOOK_AGAIN_SECONDS - 5)
    assert api.credentials().bearer == "first"
    api.clock.move(5)
    assert api.credentials().bearer == "second"
    assert len(api.asked) == 2


def test_one_that_was_refused_is_checked_sooner_but_not_at_once(api):
    api.credentials()
    api.answer = {"token": b"second"}
    api.vault.invalidate(SOURCE)
    assert api.credentials().bearer == "first"
    api.clock.move(INVALIDATED_SECONDS)
    assert api.credentials().bearer == "second"


def test_while_the_api_server_is_away_what_was_read_last_is_still_used(api):
    api.credentials()
    api.answer = Unavailable("no answer")
    for _ in range(3):
        api.clock.move(LOOK_AGAIN_SECONDS)
        assert api.credentials().bearer == "first"
    api.answer = {"token": b"second"}
    api.clock.move(LOOK_AGAIN_SECONDS)
    assert api.credentials().bearer == "second"


@pytest.mark.parametrize(
    ("error", "reason", "says"),
    [
        (NotFound("404"), SourceReason.SECRET_NOT_FOUND, "there is no Secret prometheus"),
        (Forbidden("403"), SourceReason.SECRET_FORBIDDEN, "may not read Secret prometheus"),
        (Unavailable("503"), SourceReason.SECRET_NOT_FOUND, "the API server does not answer"),
    ],
)
def test_why_it_cannot_be_read_is_reported_with_its_field(api, error, reason, says):
    api.answer = error
    told = api.trouble()
    assert told.reason is reason
    assert told.detail.startswith("spec.auth.bearer.tokenRef: ")
    assert says in told.detail
    assert told.evidence.detail == told.detail


@pytest.mark.parametrize("error", [NotFound("404"), Forbidden("403")])
def test_what_was_withdrawn_does_not_stay_in_use(api, error):
    api.credentials()
    api.answer = error
    api.clock.move(LOOK_AGAIN_SECONDS)
    api.trouble()
    api.answer = {"token": b"first"}
    api.clock.move(INVALIDATED_SECONDS)
    assert api.credentials().bearer == "first"


def test_a_cluster_wide_source_has_the_operators_own_secrets_alone(api):
    wide = replace(SOURCE, kind=SourceKind.CLUSTER_METRICS_SOURCE)
    api.credentials(wide)
    assert api.asked == [("penstock-system", "prometheus")]


def test_an_operator_that_does_not_know_where_it_lives_says_so(api):
    api.vault = CredentialCache(api.read, api.clock)
    wide = replace(SOURCE, kind=SourceKind.CLUSTER_METRICS_SOURCE)
    assert "--lease-namespace" in api.trouble(wide).detail
    assert api.asked == []


def test_what_nobody_has_asked_for_is_forgotten(api):
    api.credentials()
    api.clock.move(FORGOTTEN_SECONDS + 1)
    api.credentials(replace(SOURCE, auth=BearerAuth(SecretKeyRef("another", "token"))))
    assert list(api.vault._kept) == [("shop", "another")]
