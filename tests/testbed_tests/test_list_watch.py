"""A follower's picture comes true in the end, whatever happens on the way to the API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import identities
from testbed.api import Kube
from testbed.bed import Bed
from testbed.fault_actions import (
    Act,
    Cut,
    CutWatch,
    EditWatch,
    Garble,
    InjectLine,
    ReplaceBody,
    api_error,
    watch_error,
)
from testbed.fault_plan import Every, Match, Plan, Rule
from testbed.list_watch import ListWatch
from testbed.proxy import FaultProxy, before_api_server
from testbed_tests.shop import soon

pytestmark = pytest.mark.servers

READ = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]
WATCH = "watch=true"


class Picture:
    """What a follower told so far, held against what the server has."""

    def __init__(self, admin: Kube, namespace: str, follower_of: Kube) -> None:
        self.admin, self.path = admin, f"/api/v1/namespaces/{namespace}/configmaps"
        self.told: dict[str, dict[str, Any]] = {}
        self.follower = ListWatch(
            follower_of,
            self.path,
            changed=lambda item: self.told.update({item["metadata"]["uid"]: item}),
            gone=lambda uid: self.told.pop(uid, None),
            period=1,
        )

    def is_true(self) -> bool:
        items = self.admin.call("GET", self.path)["items"]
        there = {item["metadata"]["name"]: item.get("data") for item in items}
        told = {item["metadata"]["name"]: item.get("data") for item in dict(self.told).values()}
        return told == there

    def create(self, name: str) -> None:
        self.admin.call("POST", self.path, {"metadata": {"name": name}, "data": {"state": "new"}})

    def change(self, name: str) -> None:
        patch = {"data": {"state": "changed"}}
        kind = "application/merge-patch+json"
        self.admin.call("PATCH", f"{self.path}/{name}", patch, content_type=kind)

    def delete(self, name: str) -> None:
        self.admin.call("DELETE", f"{self.path}/{name}")

    def churn(self, round_: int) -> None:
        """One object stays, one is changed, one goes."""
        for number in range(3):
            self.create(f"{round_}-{number}")
        self.change(f"{round_}-1")
        self.delete(f"{round_}-2")


@pytest.fixture
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    with before_api_server(bed.server, bed.pki) as proxy:
        yield proxy


@pytest.fixture
def picture(bed: Bed, namespace: str, proxy: FaultProxy, tmp_path: Path) -> Iterator[Picture]:
    account = identities.service_account(bed.kube, namespace, "follower")
    identities.grant(bed.kube, account, READ)
    bearer = identities.token(bed.kube, account)
    config = tmp_path / "kubeconfig"
    identities.token_kubeconfig(config, proxy.url, bed.ca_file, bearer)
    picture = Picture(bed.kube, namespace, Kube(config))
    thread = threading.Thread(target=picture.follower.run)
    thread.start()
    yield picture
    picture.follower.stop()
    thread.join()


def on_watches(act: Act) -> Rule:
    return Rule(Match(query=WATCH), act)


def on_every_second_list(act: Act) -> Rule:
    return Rule(Match(path="configmaps$", query="^$", when=Every(2)), act)


@pytest.mark.parametrize(
    "rule",
    [
        on_watches(CutWatch(after_lines=1)),
        on_watches(watch_error(410, after_lines=1)),
        on_watches(watch_error(500)),
        on_watches(api_error(410)),
        on_watches(InjectLine("not json", after_lines=1)),
        on_watches(InjectLine("{}", after_lines=1)),
        on_watches(EditWatch('"type":"ADDED"', "drop")),
        on_watches(EditWatch('"type":"MODIFIED"', "drop")),
        on_watches(EditWatch('"type":"DELETED"', "drop")),
        on_watches(EditWatch('"type":', "twice")),
        on_every_second_list(api_error(500)),
        on_every_second_list(Cut(200)),
        on_every_second_list(Garble(7)),
        on_every_second_list(ReplaceBody("<html>")),
        on_every_second_list(ReplaceBody("[]", "application/json")),
    ],
    ids=lambda rule: type(rule.act).__name__,
)
def test_the_picture_comes_true(picture: Picture, proxy: FaultProxy, rule: Rule) -> None:
    with proxy.faults(Plan((rule,), seed=1)):
        for round_ in range(2):
            picture.churn(round_)
            assert soon(picture.is_true)


def test_the_picture_comes_true_after_the_server_was_away(
    picture: Picture, proxy: FaultProxy
) -> None:
    picture.churn(0)
    assert soon(picture.is_true)
    proxy.down()
    picture.churn(1)
    proxy.up()
    assert soon(picture.is_true)


def test_without_a_change_nothing_is_emitted(picture: Picture) -> None:
    picture.churn(0)
    assert soon(picture.is_true)
    before = dict(picture.told)
    time.sleep(2.5)  # a list is asked for every second
    assert all(picture.told[uid] is before[uid] for uid in before)
