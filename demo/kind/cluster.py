"""A kind cluster of this clone, with Prometheus and the images that are built here.

Owns one cluster and one folder, `.kind/<purpose>`, which is there as long as the cluster is ours:
with the cluster's kubeconfig (nobody's own is touched), a log, and what a shell needs. Docker and
kind are the user's; nothing here installs them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from penstock import __version__
from testbed.binaries import BinariesMissing, ensure
from testbed.daemon import exports

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
FOLDER = ROOT / ".kind"
OPERATOR_IMAGE = f"penstock:{__version__}"
LOAD_IMAGE = "penstock.dev/load:1.0"
PROMETHEUS = HERE / "prometheus.yaml"
# As pods reach it: the address that deploy/examples names.
PROMETHEUS_URL = "http://prometheus.monitoring:9090"
WITHOUT = "`make demo` and `make cluster-up` need neither Docker nor kind."

_CREATE_SECONDS = "180s"
_ROLLOUT_SECONDS = 300
_LAST_LINES = 15


class KindError(Exception):
    """What could not be done, and the way out."""


class KindCluster:
    """The cluster for one purpose; `up` and `down` may be called however often."""

    def __init__(self, purpose: str, folder: Path = FOLDER) -> None:
        self.name = f"penstock-{purpose}"
        self.folder = folder / purpose
        self.kubeconfig = self.folder / "kubeconfig"
        self.env_file = self.folder / "env"
        self._log = self.folder / "log"

    @property
    def env(self) -> dict[str, str]:
        """What kubectl needs; one on PATH is taken, another is got as for the test bed."""
        found = shutil.which("kubectl") or str(self._pinned_kubectl())
        path = os.pathsep.join([str(Path(found).parent), os.environ.get("PATH", os.defpath)])
        cache = str(self.folder / "kubectl")
        return {"PATH": path, "KUBECACHEDIR": cache, "KUBECONFIG": str(self.kubeconfig)}

    @property
    def is_ours(self) -> bool:
        """Whether this clone has begun to make it, and has not ended it."""
        return self.folder.is_dir()

    def up(self, samples: Mapping[str, str] | None = None) -> None:
        """Have it, with these images besides the operator's: folders to build by names."""
        docker_must_answer()
        kind_must_be_there()
        self._have_cluster()
        self.env_file.write_text(exports(self.env))
        self._have_images(samples or {})
        _say("starting Prometheus in it; its image comes from quay.io the first time ...")
        self.kubectl("apply", "-f", str(PROMETHEUS))
        self.wait_rolled_out("monitoring", "prometheus")

    def down(self) -> None:
        """End it, and remove its folder; one that this clone did not make is left alone."""
        if not self.is_ours:
            _say(f"no kind cluster {self.name} of this clone is there")
            return
        docker_must_answer()
        kind_must_be_there()
        self._delete()
        _say(f"the kind cluster {self.name} has ended")

    def kubectl(self, *arguments: str) -> str:
        """kubectl, which has to succeed."""
        done = subprocess.run(
            ["kubectl", *arguments],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise KindError(f"kubectl {shlex.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def wait_rolled_out(self, namespace: str, deployment: str) -> None:
        """Until all of its pods are available."""
        where = (f"--namespace={namespace}", f"deployment/{deployment}")
        try:
            self.kubectl("rollout", "status", *where, f"--timeout={_ROLLOUT_SECONDS}s")
        except KindError as error:
            look = f". {self.env_file}; kubectl -n {namespace} describe pods"
            raise KindError(f"{error}. What its pods say: {look}") from None

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """Scale it, and wait until the pods are there, or all gone."""
        where = (f"--namespace={namespace}", f"deployment/{deployment}")
        self.kubectl("scale", *where, f"--replicas={replicas}")
        if replicas:
            self.wait_rolled_out(namespace, deployment)
        else:
            self._wait_gone(namespace, deployment)

    def kill_pods(self, namespace: str, name: str) -> None:
        """End pods as a failure does: without asking them, and without waiting for them."""
        self.kubectl("delete", "pods", *_pods(namespace, name), "--force", "--grace-period=0")

    def _wait_gone(self, namespace: str, name: str) -> None:
        end = time.monotonic() + _ROLLOUT_SECONDS
        while self.kubectl("get", "pods", *_pods(namespace, name), "--output=name"):
            if time.monotonic() > end:
                raise KindError(f"pods of {name} do not end")
            time.sleep(0.5)

    def _have_cluster(self) -> None:
        there = self.name in _output("kind", "get", "clusters").splitlines()
        if there and not self.is_ours:
            raise KindError(
                f"A kind cluster {self.name} is there that this clone did not make: "
                f"`kind delete cluster --name {self.name}` ends it."
            )
        if there and self._answers():
            _say(f"the kind cluster {self.name} is running")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._create()
        except BaseException:
            self._delete()
            raise

    def _answers(self) -> bool:
        """Not after an interrupted start, and not while its container is stopped."""
        try:
            self.kubectl("get", "--raw=/readyz", "--request-timeout=10s")
        except KindError:
            return False
        return True

    def _create(self) -> None:
        _run("kind", "delete", "cluster", *self._named)  # one that does not answer
        _say("making a kind cluster; its node's image is fetched the first time (about 1 GB) ...")
        done = _run("kind", "create", "cluster", *self._named, f"--wait={_CREATE_SECONDS}")
        if done.returncode:
            raise KindError(f"kind did not make the cluster {self.name}: {_last(done.stderr)}")

    def _delete(self) -> None:
        done = _run("kind", "delete", "cluster", *self._named)
        if done.returncode:
            raise KindError(f"kind did not delete the cluster {self.name}: {_last(done.stderr)}")
        shutil.rmtree(self.folder)

    def _have_images(self, samples: Mapping[str, str]) -> None:
        _say(f"building images ({self._log} has what Docker says) ...")
        self._build(OPERATOR_IMAGE, str(ROOT / "hack" / "image"))
        for image, folder in samples.items():
            base = os.environ.get("SAMPLE_BASE")
            arguments = [f"--build-arg=VERSION={image.rpartition(':')[2]}"]
            arguments += [f"--build-arg=BASE={base}"] if base else []
            self._build(image, "docker", "build", *arguments, f"--tag={image}", folder)
        images = (OPERATOR_IMAGE, *samples)
        done = _run("kind", "load", "docker-image", *images, f"--name={self.name}")
        if done.returncode:
            raise KindError(f"kind did not take the images: {_last(done.stderr)}")

    def _build(self, image: str, *command: str) -> None:
        done = _run(*command, IMAGE=image)
        with self._log.open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            raise KindError(f"{image} was not built: {_last(done.stderr or done.stdout)}")

    @property
    def _named(self) -> tuple[str, str]:
        return f"--name={self.name}", f"--kubeconfig={self.kubeconfig}"

    def _pinned_kubectl(self) -> Path:
        try:
            return ensure(("kubectl",))["kubectl"]
        except BinariesMissing as error:
            raise KindError(str(error)) from error


def _pods(namespace: str, name: str) -> tuple[str, str]:
    return f"--namespace={namespace}", f"--selector=app.kubernetes.io/name={name}"


def docker_must_answer() -> None:
    """Raise `KindError` with the way out."""
    if shutil.which("docker") is None:
        raise KindError(
            "Docker is not on PATH, and kind needs it: https://docs.docker.com/engine/install "
            f"(Debian, Ubuntu: apt-get install docker.io). {WITHOUT}"
        )
    done = _run("docker", "version", "--format={{.Server.Version}}")
    if done.returncode:
        raise KindError(
            f"Docker's daemon does not answer ({_last(done.stderr, 1)}): start it, or point "
            f"DOCKER_HOST to one that runs. {WITHOUT}"
        )


def kind_must_be_there() -> None:
    """Raise `KindError` with the way out."""
    if shutil.which("kind") is None:
        raise KindError(
            "kind is not on PATH: https://kind.sigs.k8s.io/docs/user/quick-start/#installation "
            f"(with Go: go install sigs.k8s.io/kind@latest). {WITHOUT}"
        )


def _run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def _output(*command: str) -> str:
    done = _run(*command)
    if done.returncode:
        raise KindError(f"{shlex.join(command)} failed: {_last(done.stderr)}")
    return done.stdout


def _last(said: str, lines: int = _LAST_LINES) -> str:
    return "\n".join(said.strip().splitlines()[-lines:])


def _say(line: str) -> None:
    sys.stderr.write(f"penstock: {line}\n")
