"""A cluster that somebody already has, instead of one of ours: `USE_EXISTING_CLUSTER=true`.

Owns one decision: whether the cluster that the current context names may be used for tests. Nothing
in a kubeconfig says what is at stake behind it, so only what looks like a cluster on this very
machine is taken, and everything else needs a person who insists. Nothing is asked of the cluster.
"""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from testbed.servers import BedError

USE = "USE_EXISTING_CLUSTER"
INSIST = "PENSTOCK_INSIST"

_FOR_TESTS = (
    "kind-",
    "k3d-",
    "minikube",
    "docker-desktop",
    "rancher-desktop",
    "colima",
    "orbstack",
)


def is_true(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}


def existing_cluster() -> str:
    """The value of KUBECONFIG with which the cluster is used, or `BedError` if it is not fit."""
    configured = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    files = [Path(part) for part in configured.split(os.pathsep) if part]
    context, server = _current([_read(file) for file in files if file.is_file()], configured)
    if not (_is_for_tests(context, server) or is_true(INSIST)):
        raise BedError(
            f"The current context {context!r} ({server}) does not look like a test cluster: choose "
            f"another context, unset {USE}, or set {INSIST}=true if you are sure."
        )
    return configured


def _read(file: Path) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BedError(
            f"{file} cannot be read as a kubeconfig ({type(error).__name__})."
        ) from error
    return config if isinstance(config, dict) else {}


def _current(configs: list[Mapping[str, Any]], configured: str) -> tuple[str, str]:
    """Name and server of the current context; of several files the first that says so decides."""
    chosen = next((c["current-context"] for c in configs if c.get("current-context")), None)
    if chosen is None:
        raise BedError(f"{USE} is set, but {configured} names no current context.")
    context = _named(configs, "contexts", chosen).get("context") or {}
    cluster = _named(configs, "clusters", context.get("cluster")).get("cluster") or {}
    if not cluster.get("server"):
        raise BedError(f"The context {chosen!r} of {configured} names no server.")
    return str(chosen), str(cluster["server"])


def _named(configs: list[Mapping[str, Any]], part: str, name: Any) -> Mapping[str, Any]:
    entries = (entry for config in configs for entry in config.get(part) or ())
    return next((entry for entry in entries if entry.get("name") == name), {})


def _is_for_tests(context: str, server: str) -> bool:
    host = urllib.parse.urlsplit(server).hostname or ""
    if context.startswith(_FOR_TESTS) or host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
