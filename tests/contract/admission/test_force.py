"""Tools that replace what they may not change must not get past the gate.

They delete a Deployment and create it anew when the answer is 422 or a message speaks of an
immutable field. A refusal of ours is neither.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.admission_fixture import APPLY, SENTENCE, Workload, deployment, manifest
from testbed.api import ApiError

pytestmark = pytest.mark.servers

NEXT = "shop/checkout:2"


def test_v28_kubectl_apply_force_does_not_replace_the_deployment(
    checkout: Workload, tmp_path: Path
) -> None:
    assert checkout.kubectl("delete", "deployment", checkout.name).returncode == 0
    first = manifest(tmp_path, deployment(checkout.name))
    assert checkout.kubectl("apply", "-f", first).returncode == 0
    uid = checkout.read()["metadata"]["uid"]
    checkout.close()
    changed = manifest(tmp_path, deployment(checkout.name, NEXT))
    done = checkout.kubectl("apply", "--force", "-f", changed)
    assert done.returncode == 1
    assert "(Forbidden)" in done.stderr
    assert SENTENCE in done.stderr
    assert checkout.read()["metadata"]["uid"] == uid


def test_v28_a_forced_server_side_apply_as_flux_does_it_is_refused(checkout: Workload) -> None:
    """Flux asks for a dry run of each object first, and applies with force when all pass."""
    uid = checkout.read()["metadata"]["uid"]
    checkout.close()
    flux = "fieldManager=kustomize-controller&force=true"
    for query in (f"{flux}&dryRun=All", flux):
        with pytest.raises(ApiError) as refused:
            checkout.patch(deployment(checkout.name, NEXT), APPLY, query)
        assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
        assert "immutable" not in refused.value.message
    assert checkout.read()["metadata"]["uid"] == uid


def test_v28_flux_applies_what_is_not_a_release(checkout: Workload) -> None:
    checkout.close()
    flux = "fieldManager=kustomize-controller&force=true"
    for query in (f"{flux}&dryRun=All", flux):
        checkout.patch(deployment(checkout.name, replicas=3), APPLY, query)


def test_v28_kubectl_apply_server_side_with_forced_conflicts_is_refused(
    checkout: Workload, tmp_path: Path
) -> None:
    checkout.close()
    changed = manifest(tmp_path, deployment(checkout.name, NEXT))
    done = checkout.kubectl("apply", "--server-side", "--force-conflicts", "-f", changed)
    assert done.returncode == 1
    assert SENTENCE in done.stderr


def test_v28_kubectl_replace_is_refused(checkout: Workload, tmp_path: Path) -> None:
    uid = checkout.read()["metadata"]["uid"]
    checkout.close()
    changed = manifest(tmp_path, deployment(checkout.name, NEXT))
    done = checkout.kubectl("replace", "-f", changed)
    assert done.returncode == 1
    assert SENTENCE in done.stderr
    assert checkout.read()["metadata"]["uid"] == uid
