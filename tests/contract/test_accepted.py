"""Right manifests, every one that the docs show among them: both judges accept them."""

from __future__ import annotations

import pytest

from support.manifests import CONTRACT, Right, right
from support.validators import PLURALS, parser_says, path_of, server_says
from testbed.api import Kube
from testbed.plugin import Kubectl

ACCEPTED = right()
by_name = pytest.mark.parametrize("manifest", ACCEPTED, ids=lambda one: one.name)


@pytest.mark.servers
@by_name
def test_the_server_accepts_it(manifest: Right, admin: Kube) -> None:
    assert server_says(admin, path_of(manifest.body), manifest.body) == ()


@by_name
def test_the_parser_accepts_it(manifest: Right) -> None:
    assert parser_says(manifest.body) is None


@pytest.mark.servers
def test_kubectl_applies_all_of_them(kubectl: Kubectl) -> None:
    folder = CONTRACT / "accepted"
    shown = kubectl("apply", "--dry-run=server", f"--filename={folder}")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("(server dry run)") == len(list(folder.glob("*.yaml")))


def test_there_are_some_of_every_kind() -> None:
    assert len(ACCEPTED) >= 20
    assert {one.body["kind"] for one in ACCEPTED} == set(PLURALS)
