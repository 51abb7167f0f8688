"""What is confidential is nowhere in what a run writes, whatever servers do with what they get.

A whole operator at its most talkative asks through every way to show who we are, real servers and
gates misbehave with what they were shown, and then everything that was written is searched.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from support.auth_proxy import AuthProxy, auth_proxy
from support.history import Guard, History, prometheus
from support.operator_process import Operator, wait_for
from testbed.api import Kube
from testbed.bed import Bed
from testbed.pki import Pki

pytestmark = [pytest.mark.servers, pytest.mark.slow]

API = "penstock.dev/v1alpha1"
RATIO = {"bad": 'shop_total{code="500"}', "total": "shop_total"}
USER, CLIENT = "penstock", "penstock client"
PASSWORD = "planted-basic-3f9c1b7e"
# bcrypt of it, at the least cost that there is.
HASHED = "$2b$04$QklDMuxPwfnbqO3a8F2j6uKP34u9vwnys7orUDakCx1lxBC1Fn0Fu"
RIGHT = {
    "basic": PASSWORD,
    "bearer": "planted-bearer-8d21",
    "header": "planted-header-<77aa>",
    "oauth2": "planted/client+secret%",
    "file": "planted-file-0c4e",
}
WRONG = {kind: f"planted-wrong-{kind}" for kind in RIGHT}
# What is searched for: nothing else that the run handles has this word in it.
MARK = "planted"
AT_GATES = ("bearer", "header", "oauth2", "file")
# What is no answer at all comes last: the longer that lasts, the longer a source is left alone.
BLUNDERS = {
    "422": {"QueryRejected", "Malformed"},
    "warnings": {"PartialResponse", "Malformed"},
    "html": {"Malformed"},
    "type": {"Malformed"},
    "500": {"MetricsUnreachable"},
    "redirect": {"MetricsUnreachable"},
}


@dataclass
class Scene:
    """Everything that stands, and the objects of one namespace."""

    kube: Kube
    namespace: str
    operator: Operator
    strict: str
    pki: Pki
    tokens: Path
    gates: dict[str, AuthProxy] = field(default_factory=dict)

    def write(self, plural: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        wide = kind == "ClusterMetricsSource"
        place = "" if wide else f"/namespaces/{self.namespace}"
        body = {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
        path = f"/apis/{API}{place}/{plural}/{name}?fieldManager=author&force=true"
        self.kube.call("PATCH", path, body, content_type="application/apply-patch+yaml")

    def secret(self, name: str, **data: str | bytes) -> None:
        encoded = {
            key: base64.b64encode(one if isinstance(one, bytes) else one.encode()).decode()
            for key, one in data.items()
        }
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": {key.replace("_", "."): one for key, one in encoded.items()},
        }
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{name}?fieldManager=author&force=true"
        self.kube.call("PATCH", path, body, content_type="application/apply-patch+yaml")

    def slo(self, kind: str) -> None:
        source = {"kind": "MetricsSource", "name": kind}
        if kind == "file":
            source = {"kind": "ClusterMetricsSource", "name": self.namespace}
        spec = {
            "objective": "50%",
            "window": {"rolling": "1h"},
            "indicator": {"ratio": RATIO},
            "sourceRef": source,
        }
        self.write("slos", "SLO", kind, spec)
        workload = {"apiVersion": "apps/v1", "kind": "Deployment", "name": kind}
        self.write("rollouts", "Rollout", kind, {"workloadRef": workload, "slos": [{"name": kind}]})

    def source(self, kind: str, url: str, **spec: Any) -> None:
        whole = {"url": url, "timeout": "3s", "freshness": "1d", **spec}
        if kind == "file":
            self.write("clustermetricssources", "ClusterMetricsSource", self.namespace, whole)
        else:
            self.write("metricssources", "MetricsSource", kind, whole)

    def show(self, secrets: dict[str, str]) -> None:
        """Put these where the sources look for them."""
        for kind, text in secrets.items():
            if kind == "file":
                (self.tokens / "token").write_text(text)
            else:
                self.secret(kind, value=text)

    def wait_reason(self, kind: str, *reasons: str, plural: str = "slos") -> None:
        path = f"/apis/{API}/namespaces/{self.namespace}/{plural}/{kind}"

        def look() -> str:
            status = self.kube.call("GET", path).get("status") or {}
            return next((str(one["reason"]) for one in status.get("conditions") or ()), "")

        wait_for(f"{kind} says {reasons}", look, lambda it: it in reasons)

    def events(self) -> str:
        return json.dumps(self.kube.call("GET", "/api/v1/events"), ensure_ascii=False)

    def written(self) -> dict[str, str]:
        """Everything that the operator wrote, by where."""
        kinds = ("slos", "rollouts", "metricssources", "gaterecords")
        ours = {
            plural: self.kube.call("GET", f"/apis/{API}/namespaces/{self.namespace}/{plural}")
            for plural in kinds
        }
        ours["clustermetricssources"] = self.kube.call("GET", f"/apis/{API}/clustermetricssources")
        for listed in ours.values():
            for one in listed["items"]:
                one.pop("spec", None)
                one["metadata"].pop("managedFields", None)
        found = {name: json.dumps(body, ensure_ascii=False) for name, body in ours.items()}
        found["events"] = self.events()
        found["metrics"] = self.operator.metrics()
        found["log"] = self.operator.log.read_text(errors="replace")
        return found


@pytest.fixture(scope="module")
def bed(servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of its own: a ClusterMetricsSource concerns the operators of all other tests."""
    folder = tmp_path_factory.mktemp("secrets")
    with Bed.start(folder, binaries=servers, prometheus=False, scheduler=False) as found:
        yield found


@pytest.fixture
def scene(
    bed: Bed, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    pki, tokens, left = Pki(tmp_path / "pki"), tmp_path / "tokens", tmp_path / "left"
    pki.issue("server", "server", sans=["127.0.0.1"])
    pki.issue("client", USER)
    tokens.mkdir()
    left.mkdir()
    monkeypatch.setenv("TMPDIR", str(left))
    with ExitStack() as stack:
        gates = {
            kind: stack.enter_context(auth_proxy(history(stack, tmp_path))) for kind in ("bearer",)
        }
        upstream = gates["bearer"].upstream
        gates |= {kind: stack.enter_context(auth_proxy(upstream)) for kind in AT_GATES[1:]}
        strict = stack.enter_context(prometheus(past(tmp_path / "strict"), guard=guard(pki)))
        operator = stack.enter_context(
            Operator(
                bed,
                tmp_path / "penstock.log",
                namespace=namespace,
                lease_namespace=namespace,
                token_folder=str(tokens),
                log_level="debug",
                interval="1",
            )
        )
        yield Scene(bed.kube, namespace, operator, strict, pki, tokens, gates)
        bed.kube.call("DELETE", f"/apis/{API}/clustermetricssources/{namespace}", ok=(404,))
    assert [path for path in left.rglob("*") if path.is_file() and is_ours(path)] == []


def is_ours(path: Path) -> bool:
    """The Kubernetes client keeps the certificates of a kubeconfig there; we keep nothing."""
    text = path.read_text(errors="replace")
    return MARK in text or "penstock-" in str(path.relative_to(path.parents[1]))


def past(folder: Path) -> Path:
    folder.mkdir()
    made = History()
    made.steady("shop_total", {"code": "200"}, step_up=9)
    made.write(folder)
    return folder


def history(stack: ExitStack, folder: Path) -> str:
    return stack.enter_context(prometheus(past(folder / "open")))


def guard(pki: Pki) -> Guard:
    """A Prometheus that asks for a certificate and for a password."""
    tls = ssl.create_default_context(cafile=pki.ca_file)
    tls.load_cert_chain(pki.folder / "client.crt", pki.folder / "client.key")
    shown = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    config = {
        "tls_server_config": {
            "cert_file": str(pki.folder / "server.crt"),
            "key_file": str(pki.folder / "server.key"),
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": str(pki.ca_file),
        },
        "basic_auth_users": {USER: HASHED},
    }
    return Guard(config, tls, f"Basic {shown}")


def set_up(scene: Scene) -> None:
    """Every way there is, and all of them let in."""
    bearer, header, client, file = (scene.gates[kind] for kind in AT_GATES)
    bearer.bearers, header.wanted = {RIGHT["bearer"]}, {"X-Key": RIGHT["header"]}
    client.bearers, client.clients = {"nobody's"}, {CLIENT: RIGHT["oauth2"]}
    file.bearers = {RIGHT["file"]}
    scene.show(RIGHT)
    folder = scene.pki.folder
    scene.secret("ca", ca_crt=scene.pki.ca_file.read_bytes())
    scene.secret(
        "client",
        tls_crt=(folder / "client.crt").read_bytes(),
        tls_key=(folder / "client.key").read_bytes(),
    )
    ref = {kind: {"name": kind, "key": "value"} for kind in RIGHT}
    scene.source("basic", scene.strict, **strict(ref["basic"]))
    scene.source("bearer", bearer.url, auth={"bearer": {"tokenRef": ref["bearer"]}})
    scene.source("header", header.url, headers=[{"name": "X-Key", "valueFrom": ref["header"]}])
    oauth2 = {
        "tokenUrl": client.token_url,
        "clientId": CLIENT,
        "clientSecretRef": ref["oauth2"],
    }
    scene.source("oauth2", client.url, auth={"oauth2": oauth2})
    scene.source("file", file.url, auth={"tokenFile": "/etc/penstock/tokens/token"})
    for kind in RIGHT:
        scene.slo(kind)
    for kind in RIGHT:
        scene.wait_reason(kind, "BudgetHealthy")


def strict(password: dict[str, str], server_name: str = "127.0.0.1") -> dict[str, Any]:
    return {
        "auth": {"basic": {"username": USER, "passwordRef": password}},
        "tls": {
            "caRef": {"name": "ca", "key": "ca.crt"},
            "clientCertificateRef": {"name": "client"},
            "serverName": server_name,
        },
    }


def test_nothing_confidential_is_in_anything_that_the_run_writes(scene: Scene) -> None:
    set_up(scene)
    for blunder, reasons in BLUNDERS.items():
        for kind in AT_GATES:
            scene.gates[kind].blunder = blunder
        for kind in AT_GATES:
            scene.wait_reason(kind, *reasons)
    for kind in AT_GATES:
        scene.gates[kind].blunder = ""
    scene.gates["oauth2"].token_status = 500
    scene.gates["oauth2"].bearers = {"nobody's"}
    scene.wait_reason("oauth2", "MetricsUnreachable")
    scene.gates["oauth2"].token_status = 200

    scene.show(WRONG)
    for kind in RIGHT:
        scene.wait_reason(kind, "Unauthorized")
    password = {"name": "basic", "key": "value"}
    scene.source("basic", scene.strict, **strict(password, "prometheus.example.com"))
    scene.wait_reason("basic", "MetricsUnreachable")
    scene.secret("client", tls_crt=b"planted-certificate", tls_key=b"planted-key")
    scene.show(dict.fromkeys(("bearer", "header"), "planted\r\nX-Other: planted"))
    for kind in ("basic", "bearer", "header"):
        scene.wait_reason(kind, "SecretInvalid", plural="metricssources")
    wait_for("Events tell it", scene.events, lambda it: it.count('"SecretInvalid"') >= 3)

    written = scene.written()
    assert all(written.values())
    assert "answers again" in written["log"]
    for where, text in written.items():
        for searched in sought(scene):
            assert searched not in text, f"{searched} in {where}: {around(text, searched)}"


def sought(scene: Scene) -> list[str]:
    """The mark, which all have in the open, and how each is written where it is not."""
    key = (scene.pki.folder / "client.key").read_text().splitlines()[1]
    found = [MARK, key, base64.b64encode(key.encode()).decode()[:40]]
    forms = [
        form
        for text in (*RIGHT.values(), *WRONG.values(), *scene.gates["oauth2"].issued)
        for form in (text, f"{USER}:{text}", f"{quote_plus(CLIENT)}:{quote_plus(text)}")
    ]
    return [*found, *(base64.b64encode(form.encode()).decode()[:-4] for form in forms)]


def around(text: str, searched: str) -> str:
    at = text.index(searched)
    return text[max(0, at - 200) : at + 100]
