"""A pod of deploy/base, run: command, environment and probes are those that the API server has.

The node of the test bed only says that such pods run. Here one of them really does: as a process
beside the bed, or as a container of the image under the same restrictions. What a kubelet would add
is added: the service account's token, the pod's own address.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support import engine
from support.admission_fixture import ROOT
from support.dockerfile import Dockerfile
from support.operator_process import LOG_LINES_SHOWN, wait_for
from testbed import identities
from testbed.bed import Bed
from testbed.child_process import ChildProcess
from testbed.pod_process import environment
from testbed.probe import Probe
from testbed.shipped import ACCOUNT, NAMESPACE, kubeconfig

# In seconds: suits a test's patience, as the flags of other tests do.
QUICK = {"PENSTOCK_INTERVAL": "3", "PENSTOCK_HOT_INTERVAL": "1"}
SECRETS = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass
class OperatorPod:
    """One pod's container, running."""

    name: str
    container: Mapping[str, Any]
    address: str
    log: Path
    process: ChildProcess
    _end: Callable[[], int]

    def probe(self, kind: str) -> int | None:
        """What a kubelet would be answered: `readinessProbe` or `livenessProbe`."""
        asked = Probe.of({**self.container, "readinessProbe": self.container[kind]})
        assert asked is not None
        return asked.ask(self.address)

    def is_ready(self) -> bool:
        """Whether it says so; one that has ended is a failure at once."""
        code = self.process.poll()
        assert code is None, f"the operator ended with {code}:\n{self.last_words()}"
        return self.probe("readinessProbe") == 200

    def stop(self) -> int:
        """End it as a kubelet does; its exit code."""
        return self._end()

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])


def pod_of_deployment(bed: Bed) -> dict[str, Any]:
    """One that the Deployment's controller made."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    pods: list[dict[str, Any]] = wait_for("pods", lambda: bed.kube.call("GET", path)["items"])
    return pods[0]


def as_process(bed: Bed, folder: Path, address: str) -> OperatorPod:
    """The container's command on this machine's own Python. Outside of a pod there is no file that
    names the namespace, and no token where the client looks for one."""
    pod = pod_of_deployment(bed)
    (container,) = pod["spec"]["containers"]
    env = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "PENSTOCK_LEASE_NAMESPACE": NAMESPACE,
        "KUBECONFIG": str(kubeconfig(bed, folder / "kubeconfig")),
        **_environment(pod, container, address),
    }
    argv, log = command(container), folder / "log"
    process = ChildProcess(argv, env=env, log=log, cwd=folder)
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    name = pod["metadata"]["name"]
    return OperatorPod(name, container, address, log, process, lambda: process.stop(grace))


def from_image(bed: Bed, folder: Path, address: str, image: str) -> OperatorPod:
    """The container of the image, on this machine's network, as restricted as the pod says."""
    pod = pod_of_deployment(bed)
    (container,) = pod["spec"]["containers"]
    server = urlsplit(bed.server)
    env = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        **_environment(pod, container, address),
    }
    run, name = str(engine.found()), f"penstock-test-{secrets.token_hex(4)}"
    argv = [run, "run", "--rm", f"--name={name}", "--network=host", *restrictions(pod)]
    argv += [f"--env={key}={value}" for key, value in env.items()]
    argv += [f"--volume={_service_account(bed, folder)}:{SECRETS}:ro"]
    log = folder / "log"
    process = ChildProcess([*argv, image, *container["args"]], env={**os.environ}, log=log)

    def end() -> int:
        grace = pod["spec"]["terminationGracePeriodSeconds"]
        engine.call(run, "stop", f"--time={grace}", name)
        return process.wait(60)

    return OperatorPod(pod["metadata"]["name"], container, address, log, process, end)


def command(container: Mapping[str, Any]) -> list[str]:
    """What a kubelet would start: the image's entry point unless the container has its own."""
    file = Dockerfile.read(ROOT / "Dockerfile")
    entry = container.get("command") or json.loads(file.last_stage.all("ENTRYPOINT")[0])
    return [*entry, *container["args"]]


def restrictions(pod: Mapping[str, Any]) -> list[str]:
    """The pod's security as flags of an engine; a missing restriction is a KeyError."""
    (container,) = pod["spec"]["containers"]
    whole, own = pod["spec"]["securityContext"], container["securityContext"]
    flags = [f"--user={whole['runAsUser']}:{whole['runAsGroup']}"]
    if own["readOnlyRootFilesystem"]:
        flags.append("--read-only")
    if not own["allowPrivilegeEscalation"]:
        flags.append("--security-opt=no-new-privileges")
    flags += [f"--cap-drop={one}" for one in own["capabilities"]["drop"]]
    empty = {one["name"] for one in pod["spec"]["volumes"] if "emptyDir" in one}
    mounts = (one for one in container["volumeMounts"] if one["name"] in empty)
    return flags + [f"--tmpfs={one['mountPath']}" for one in mounts]


def _environment(
    pod: Mapping[str, Any], container: Mapping[str, Any], address: str
) -> dict[str, str]:
    (port,) = (one["containerPort"] for one in container["ports"])
    own = environment(pod, container, address)
    return {**own, **QUICK, "PENSTOCK_LISTEN": f"{address}:{port}", "PENSTOCK_LOG_FORMAT": "text"}


def _service_account(bed: Bed, folder: Path) -> Path:
    """What a kubelet mounts, readable for the container's user."""
    mounted = folder / "service-account"
    mounted.mkdir(mode=0o755)
    files = {
        "token": identities.token(bed.kube, ACCOUNT),
        "ca.crt": bed.ca_file.read_text(),
        "namespace": NAMESPACE,
    }
    for name, text in files.items():
        (mounted / name).write_text(text)
        (mounted / name).chmod(0o444)
    return mounted
