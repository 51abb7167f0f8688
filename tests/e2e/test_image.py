"""The container that deploy/base starts, really started: it measures, decides, holds and ends.

Once as a process, everywhere; once from the image that was built, where a container engine runs.
"""

from __future__ import annotations

import json
import re
import secrets
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from penstock import __version__
from support import deployed, engine, operator_pod
from support.deployed import NAMESPACE
from support.operator_pod import OperatorPod
from support.operator_process import wait_for
from support.story import Story
from support.traffic import BROKEN, Traffic, running
from testbed.addresses import Addresses
from testbed.bed import Bed

PROCESS = pytest.param("as a process", marks=pytest.mark.servers)
IMAGE = pytest.param("from the image", marks=[pytest.mark.servers, pytest.mark.engine])
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/penstock"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bed(servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of its own, with deploy/base on it."""
    folder = tmp_path_factory.mktemp("with-base")
    with Bed.start(folder, binaries=servers, crds=False) as found:
        done = deployed.install(found)
        assert done.returncode == 0, done.stderr
        yield found


@pytest.fixture(scope="module")
def traffic(bed: Bed) -> Iterator[Traffic]:
    namespace = f"traffic-{secrets.token_hex(4)}"
    bed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    with running(bed, namespace) as found:
        yield found


@pytest.fixture
def shop_images() -> Iterator[dict[str, str]]:
    """Of the sample application and of who asks it, built on the operator's base."""
    run, tag = str(engine.found()), secrets.token_hex(4)
    folders = {"app": "demo/app", "load": "demo/kind/load"}
    names = {what: f"penstock-test-{what}:{tag}" for what in folders}
    base = f"--build-arg=BASE={engine.base_image()}"
    for what, folder in folders.items():
        built = engine.call(run, "build", base, f"--tag={names[what]}", folder)
        assert built.returncode == 0, built.stdout + built.stderr
    yield names
    engine.call(run, "image", "rm", "--force", *names.values())


@pytest.fixture
def address() -> Iterator[str]:
    addresses = Addresses()
    yield addresses.take([8080])
    addresses.close()


@pytest.fixture
def started(
    request: pytest.FixtureRequest, bed: Bed, tmp_path: Path, address: str
) -> Iterator[OperatorPod]:
    if request.param == "as a process":
        pod = operator_pod.as_process(bed, tmp_path, address)
    else:
        built = request.getfixturevalue("image")
        pod = operator_pod.from_image(bed, tmp_path, address, built)
    yield pod
    if pod.process.poll() is None:
        pod.stop()
    print(pod.last_words())


@pytest.mark.parametrize("started", [PROCESS, IMAGE], indirect=True)
def test_the_container_of_deploy_base_answers_its_probes_leads_decides_holds_and_ends(
    bed: Bed, started: OperatorPod, namespace: str, traffic: Traffic
) -> None:
    wait_for("it is ready", started.is_ready)
    assert started.probe("livenessProbe") == 200

    story = Story(bed, namespace, started, traffic)  # type: ignore[arg-type]
    story.guarded(replicas=4)
    assert bed.kube.call("GET", LEASE)["spec"]["holderIdentity"] == started.name
    story.change(ready_after="never")
    story.slo(service=BROKEN)
    story.wait_gate("Closed")
    story.wait_held()
    story.wait_refused()

    assert started.stop() == 0


@pytest.mark.engine
def test_the_image_runs_as_any_user_without_network_capabilities_or_a_writable_disk(
    image: str,
) -> None:
    restricted = ("--network=none", "--read-only", "--cap-drop=ALL", "--user=12345:12345")
    done = engine.call(str(engine.found()), "run", "--rm", *restricted, image, "version")
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n"), done.stderr


@pytest.mark.engine
def test_the_image_says_by_number_who_it_runs_as_and_what_it_starts(image: str) -> None:
    done = engine.call(str(engine.found()), "image", "inspect", image, "--format={{json .Config}}")
    config: dict[str, Any] = json.loads(done.stdout)
    assert config["User"] == "65532:65532"
    assert (config["Entrypoint"], config["Cmd"]) == (["penstock"], ["run"])


@pytest.mark.engine
def test_the_shops_images_answer_and_ask_as_restricted_as_their_manifests_say(
    shop_images: dict[str, str], address: str
) -> None:
    run, tag = str(engine.found()), secrets.token_hex(4)
    restricted = ("--network=host", "--read-only", "--cap-drop=ALL", "--detach", "--rm")
    answering = (f"--env=BIND={address}", "--env=SERVICE=checkout", shop_images["app"])
    asking = (shop_images["load"], f"http://{address}:8080/", "--rate=40")
    for what, arguments in (("app", answering), ("load", asking)):
        done = engine.call(
            run, "run", *restricted, f"--name=penstock-test-{what}-{tag}", *arguments
        )
        assert done.returncode == 0, done.stderr
    try:
        wait_for("requests are answered", lambda: answered(address), lambda found: found > 40)
    finally:
        for what in ("load", "app"):
            engine.call(run, "stop", "--time=5", f"penstock-test-{what}-{tag}")


def answered(address: str) -> int:
    """Requests that the sample has counted as well answered."""
    with suppress(OSError), urllib.request.urlopen(f"http://{address}:8080/metrics") as answer:
        found = re.search(r'code="200"} (\d+)', answer.read().decode())
        return int(found[1]) if found else 0
    return 0
