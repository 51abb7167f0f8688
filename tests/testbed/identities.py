"""Who speaks to the API server in a test: service accounts with given rights, and people.

Owns making them and their kubeconfig files. Rights take effect a moment after they are granted,
when the API server's own caches have them; granting therefore waits until the server itself says
so, or every test would begin with a spurious 403.

A service account's kubeconfig holds a bearer token and so works through the fault proxy. A person's
holds a client certificate, which does not pass one: people speak to the server itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.api import Kube
from testbed.audit import Permission, Rules, permissions
from testbed.pki import Pki, write_kubeconfig

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_RBAC_GROUP = "rbac.authorization.k8s.io"
_PATIENCE = 15.0


@dataclass(frozen=True)
class ServiceAccount:
    """A service account that exists."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """Its name as the authorizer and the audit log know it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def subject(self) -> dict[str, str]:
        """How a binding names it."""
        return {"kind": "ServiceAccount", "namespace": self.namespace, "name": self.name}


def service_account(kube: Kube, namespace: str, name: str) -> ServiceAccount:
    """Make one, without any rights but those of everybody who is known."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    kube.call("POST", path, {"metadata": {"name": name}})
    return ServiceAccount(namespace, name)


def grant(kube: Kube, account: ServiceAccount, rules: Rules, namespace: str = "") -> None:
    """Allow these rules in one namespace; by default in the account's own."""
    namespace = namespace or account.namespace
    base = f"{_RBAC}/namespaces/{namespace}"
    kube.call("POST", f"{base}/roles", {"metadata": {"name": account.name}, "rules": rules})
    kube.call("POST", f"{base}/rolebindings", _binding(account, account.name, "Role", account.name))
    _wait_until_allowed(kube, account, rules, namespace)


def grant_everywhere(kube: Kube, account: ServiceAccount, rules: Rules) -> str:
    """Allow these rules in all namespaces; returns the name of the ClusterRole made for it."""
    name = f"{account.namespace}-{account.name}"
    kube.call("POST", f"{_RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    bind(kube, account, name)
    return name


def bind(kube: Kube, account: ServiceAccount, cluster_role: str) -> None:
    """Allow all that a ClusterRole allows, in all namespaces."""
    binding = _binding(
        account, f"{account.namespace}-{account.name}-{cluster_role}", "ClusterRole", cluster_role
    )
    kube.call("POST", f"{_RBAC}/clusterrolebindings", binding)
    role = kube.call("GET", f"{_RBAC}/clusterroles/{cluster_role}")
    _wait_until_allowed(kube, account, role.get("rules") or (), "")


def token(kube: Kube, account: ServiceAccount, seconds: int = 3600) -> str:
    """A token that ends after `seconds`; the API server's least is 600."""
    path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token"
    review = kube.call("POST", path, {"spec": {"expirationSeconds": seconds}})
    return str(review["status"]["token"])


def token_kubeconfig(
    path: Path, server: str, ca_file: Path, bearer: str, *, namespace: str = "default"
) -> Path:
    """A kubeconfig for a token; `server` may be a fault proxy, which the same authority signed."""
    return write_kubeconfig(path, server, ca_file, {"token": bearer}, namespace)


def person_kubeconfig(
    path: Path,
    server: str,
    pki: Pki,
    name: str,
    *,
    group: str | None = None,
) -> Path:
    """A kubeconfig for a person, known by a certificate; rights come from bindings to the name."""
    issued = f"person-{name}"
    pki.issue(issued, name, group)
    return pki.kubeconfig(path, server, issued)


def _binding(account: ServiceAccount, name: str, kind: str, role: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC_GROUP, "kind": kind, "name": role},
        "subjects": [account.subject],
    }


def _wait_until_allowed(kube: Kube, account: ServiceAccount, rules: Rules, namespace: str) -> None:
    end = time.monotonic() + _PATIENCE
    for part in permissions(rules):
        while not _is_allowed(kube, account, part, namespace):
            if time.monotonic() > end:
                raise TimeoutError(f"{account.user} was granted {part}, but it has no effect")
            time.sleep(0.05)


def _is_allowed(kube: Kube, account: ServiceAccount, part: Permission, namespace: str) -> bool:
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.namespace}"]
    review = {"spec": {"user": account.user, "groups": groups, **_attributes(part, namespace)}}
    answer = kube.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def _attributes(part: Permission, namespace: str) -> Mapping[str, Mapping[str, str]]:
    if part.path:
        return {"nonResourceAttributes": {"path": part.path, "verb": part.verb}}
    resource, _, subresource = part.resource.partition("/")
    attributes = {
        "namespace": namespace,
        "group": part.group,
        "resource": resource,
        "subresource": subresource,
        "verb": part.verb,
        "name": part.name,
    }
    return {"resourceAttributes": attributes}
