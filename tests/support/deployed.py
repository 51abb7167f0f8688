"""`deploy/base` installed as people do it, and the operator with its own account's rights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from support.admission_fixture import ROOT, Server
from support.operator_process import Operator, wait_for
from testbed.audit import Permission, Rules
from testbed.bed import Bed
from testbed.shipped import ACCOUNT, NAMESPACE, kubeconfig

BASE = ROOT / "deploy" / "base"
RELEASE_ALL = ROOT / "deploy" / "release-all"
CLUSTER_ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/penstock"
ROLES = {
    ("ClusterRole", "penstock"),
    ("Role", "penstock-lease"),
    ("Role", "penstock-secrets"),
}
GRANTED_TO_ALL = "system:"


def shipped_rules() -> Rules:
    """Every rule of the operator's own roles."""
    documents = yaml.safe_load_all((BASE / "rbac.yaml").read_text())
    return [rule for one in documents for rule in one.get("rules") or ()]


def shipped_rules_of_all_namespaces() -> Rules:
    """The same without the right to the Lease, which is of our own namespace alone."""
    return [one for one in shipped_rules() if one["apiGroups"] != ["coordination.k8s.io"]]


def install(bed: Bed) -> subprocess.CompletedProcess[str]:
    """Everything, by the one command of the README."""
    return bed.kubectl("apply", "-k", str(BASE))


def operator(bed: Bed, folder: Path, **settings: str) -> Operator:
    """One that elects a leader, as in its pod."""
    return Operator(
        bed,
        folder / "penstock.log",
        kubeconfig=kubeconfig(bed, folder / "kubeconfig"),
        lease_namespace=NAMESPACE,
        **settings,
    )


def release_all(bed: Bed, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the Job of deploy/release-all runs, with the same rights."""
    return subprocess.run(
        [sys.executable, "-m", "penstock", "release-all"],
        env={**os.environ, "KUBECONFIG": str(kubeconfig(bed, folder / "release-all"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def without(bed: Bed, lost: Permission) -> Iterator[None]:
    """The operator's ClusterRole less one verb on one resource, for a while."""
    rules = bed.kube.call("GET", CLUSTER_ROLE)["rules"]
    _grant(bed, [part for rule in rules for part in _less(rule, lost)])
    try:
        _wait_allowed(bed, lost, "no")
        yield
    finally:
        _grant(bed, rules)
        _wait_allowed(bed, lost, "yes")


@contextmanager
def without_in(bed: Bed, role: str, lost: Permission) -> Iterator[None]:
    """A Role of the operator's namespace less one verb on one resource, for a while."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/{role}"
    rules = bed.kube.call("GET", path)["rules"]

    def grant(wanted: list[dict[str, Any]]) -> None:
        merge = "application/merge-patch+json"
        bed.kube.call("PATCH", path, {"rules": wanted}, content_type=merge)

    grant([part for rule in rules for part in _less(rule, lost)])
    try:
        yield
    finally:
        grant(rules)


def _grant(bed: Bed, rules: list[dict[str, Any]]) -> None:
    patch = {"rules": rules}
    bed.kube.call("PATCH", CLUSTER_ROLE, patch, content_type="application/merge-patch+json")


def _less(rule: dict[str, Any], lost: Permission) -> list[dict[str, Any]]:
    if lost.group not in rule["apiGroups"] or lost.resource not in rule["resources"]:
        return [rule]
    others = [one for one in rule["resources"] if one != lost.resource]
    verbs = [one for one in rule["verbs"] if one != lost.verb]
    kept = [
        {**rule, "resources": others},
        {**rule, "resources": [lost.resource], "verbs": verbs},
    ]
    return [one for one in kept if one["resources"] and one["verbs"]]


def _wait_allowed(bed: Bed, part: Permission, answer: str) -> None:
    resource, _, subresource = part.resource.partition("/")
    asked = [part.verb, f"{resource}.{part.group}" if part.group else resource]
    if subresource:
        asked.append(f"--subresource={subresource}")
    command = ["auth", "can-i", *asked, "--all-namespaces"]
    wait_for(
        f"{part} is granted: {answer}",
        lambda: Server(bed).kubectl(*command, user=ACCOUNT.user).stdout.strip(),
        lambda said: said == answer,
    )
