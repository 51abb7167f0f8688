"""deploy/: one command installs it, the operator has the rights it uses and no more, and it goes.

In order: the last test uninstalls.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support import deployed
from support.admission_fixture import ADMISSION, ROOT, Server
from support.deployed import RELEASE_ALL, ROLES, shipped_rules, without, without_in
from support.operator_process import Operator, wait_for
from support.story import Story, played
from support.traffic import BROKEN, STEADY, Traffic, running
from testbed import audit, third_party_crds
from testbed.audit import Permission
from testbed.bed import Bed
from testbed.shipped import ACCOUNT, NAMESPACE

pytestmark = [pytest.mark.servers, pytest.mark.slow]

OURS = "penstock.dev"
CLUSTER_SOURCES = f"/apis/{OURS}/v1alpha1/clustermetricssources"
# Server-side apply that makes an object asks for `patch`, and the server itself then for `create`.
ASKED_WITHIN = Permission("", "configmaps", "create")
LEDGERS = "penstock-ledger-0"
CREDENTIALS = ROOT / "deploy" / "examples" / "credentials" / "rbac.yaml"


@pytest.fixture(scope="module")
def bed(servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed of its own, with nothing of ours on it."""
    folder = tmp_path_factory.mktemp("deployed")
    with Bed.start(folder, binaries=servers, audit=True, crds=False) as found:
        yield found


@pytest.fixture(scope="module")
def installed(bed: Bed) -> Bed:
    """Beside Argo Rollouts and Flagger: the rights to their kinds are used only where these are."""
    third_party_crds.install(
        bed.kube, [*third_party_crds.argo_rollouts_crds(), *third_party_crds.flagger_crds()]
    )
    done = deployed.install(bed)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return bed


@pytest.fixture(scope="module")
def traffic(installed: Bed) -> Iterator[Traffic]:
    namespace = f"traffic-{secrets.token_hex(4)}"
    installed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    with running(installed, namespace) as found:
        yield found


@pytest.fixture(scope="module")
def operator(installed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with deployed.operator(installed, tmp_path_factory.mktemp("operator")) as found:
        yield found


@pytest.fixture
def story(installed: Bed, namespace: str, operator: Operator, traffic: Traffic) -> Story:
    return Story(installed, namespace, operator, traffic)


@pytest.fixture
def everywhere(installed: Bed) -> Iterator[str]:
    """A ClusterMetricsSource with a token from a Secret of the operator's namespace."""
    name = f"everywhere-{secrets.token_hex(4)}"
    secret = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    body = {"metadata": {"name": name}, "stringData": {"token": "a-token"}}
    installed.kube.call("POST", secret, body)
    auth = {"bearer": {"tokenRef": {"name": name, "key": "token"}}}
    source = {
        "apiVersion": f"{OURS}/v1alpha1",
        "kind": "ClusterMetricsSource",
        "metadata": {"name": name},
        "spec": {"url": installed.prometheus_url, "auth": auth},
    }
    installed.kube.call("POST", CLUSTER_SOURCES, source)
    yield name
    installed.kube.call("DELETE", f"{CLUSTER_SOURCES}/{name}")
    installed.kube.call("DELETE", f"{secret}/{name}")


def ready(story: Story, path: str) -> dict[str, str]:
    """The condition Ready of a source."""
    status = story.kube.call("GET", path).get("status") or {}
    return next(iter(status.get("conditions") or ()), {})


def hold_a_release(story: Story) -> None:
    """A release whose pods never get ready, held by a person's wish."""
    story.guarded(replicas=4)
    story.change(ready_after="never")
    wait_for("both versions run", story.replicas, lambda found: set(found) == {"1", "2"})
    story.hold()
    story.wait_gate("Closed", "HeldByPerson")


def test_one_command_installs_everything(installed: Bed) -> None:
    again = deployed.install(installed)

    assert again.returncode == 0, again.stderr
    waited = installed.kubectl(
        *("wait", "--for=condition=Available", "--timeout=90s"),
        *("--namespace", NAMESPACE, "deployment/penstock"),
    )
    assert waited.returncode == 0, waited.stderr
    policies = installed.kubectl("get", "validatingadmissionpolicies", "-o", "name").stdout
    assert len(policies.splitlines()) == 2


def test_restricted_pod_security_accepts_what_we_ship_and_refuses_a_privileged_one(
    installed: Bed,
) -> None:
    job = installed.kubectl("apply", "--dry-run=server", "-k", str(RELEASE_ALL))
    assert (job.returncode, job.stderr) == (0, "")

    privileged = played("privileged")
    privileged["metadata"]["namespace"] = NAMESPACE
    container = privileged["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"] = {"privileged": True}
    path = installed.folder / "privileged.json"
    path.write_text(json.dumps(privileged))
    warned = installed.kubectl("apply", "--dry-run=server", "-f", str(path))
    assert "would violate PodSecurity" in warned.stderr


def test_a_whole_story_uses_every_right_that_is_granted_and_needs_no_other(
    story: Story, everywhere: str
) -> None:
    story.guarded(replicas=4)
    story.slo("long", window={"rolling": "1d"})
    wait_for(
        "the other source answers too",
        lambda: ready(story, f"{CLUSTER_SOURCES}/{everywhere}"),
        lambda one: one.get("reason") == "Connected",
    )
    story.change(ready_after="never")
    wait_for("both versions run", story.replicas, lambda found: set(found) == {"1", "2"})
    story.slo(service=BROKEN)
    story.wait_gate("Closed")
    story.wait_held()
    story.wait_refused()
    story.go_back()
    story.wait_released()
    story.slo(service=STEADY)
    story.wait_gate("Open", "BudgetHealthy", seconds=150)
    story.wait_admitted()

    rules = shipped_rules()
    objects = audit.of_user(
        audit.wait_for(
            story.bed.audit_log,
            lambda found: audit.unused(rules, audit.of_user(found, ACCOUNT.user)) == [ASKED_WITHIN],
        ),
        ACCOUNT.user,
    )
    assert [obj.describe() for obj in audit.forbidden(objects)] == []
    about_resources = [obj for obj in objects if obj.resource]
    assert [obj.describe() for obj in audit.uncovered(rules, about_resources)] == []
    # RBAC only adds: what one of these roles allowed, and no other, is refused without its rule.
    assert {obj.granted_by for obj in about_resources} == ROLES


@pytest.mark.parametrize(
    "lost",
    [
        Permission(OURS, "gaterecords", "create"),
        Permission(OURS, "rollouts/status", "patch"),
        Permission("apps", "replicasets", "list"),
    ],
    ids=lambda one: f"{one.verb} {one.resource}",
)
def test_without_a_right_to_judge_the_log_names_it_and_the_gate_follows_once_it_is_granted(
    story: Story, lost: Permission
) -> None:
    with without(story.bed, lost):
        story.source()
        story.slo()
        story.deploy(played(replicas=2))
        story.rollout()
        wait_told(story, lost)
        wait_for("an Event says it", story.reasons, lambda found: found == ["Forbidden"])
        assert f'cannot {lost.verb} resource "{lost.resource}"' in story.events()[0]["message"]
        assert story.gate() == {}

    story.wait_gate("Open", "BudgetHealthy")


def test_without_the_right_to_hold_the_gate_says_so_and_holds_once_it_is_granted(
    story: Story,
) -> None:
    lost = Permission("apps", "deployments", "patch")
    with without(story.bed, lost):
        hold_a_release(story)
        wait_for(
            "the sentence says it",
            lambda: story.gate()["message"],
            lambda told: 'cannot patch resource "deployments"' in told,
        )
        story.wait_refused()

    story.wait_held()


@pytest.mark.parametrize("resource", ["metricssources/status", "clustermetricssources/status"])
def test_without_the_right_to_report_on_a_source_it_is_asked_all_the_same(
    story: Story, everywhere: str, resource: str
) -> None:
    lost = Permission(OURS, resource, "patch")
    with without(story.bed, lost):
        changed = {"spec": {"timeout": "9s"}}
        if resource.startswith("cluster"):
            path, of = f"{CLUSTER_SOURCES}/{everywhere}", everywhere
            merge = "application/merge-patch+json"
            story.kube.call("PATCH", path, changed, content_type=merge)
        else:
            path, of = f"{story.path('metricssources')}/default", story.namespace
            story.source()
            story.slo()
            story.wait_measured()
        words = f'cannot patch resource "{resource}"'
        wait_for(
            f"the log says {words}",
            lambda: [line for line in story.operator.last_words().splitlines() if words in line],
            lambda found: any(of in line for line in found),
        )

    wait_for("it is told", lambda: ready(story, path), lambda one: one.get("status") == "True")


def test_a_secret_is_read_where_its_namespace_grants_this_one_and_nowhere_else(
    story: Story,
) -> None:
    story.do("create", "secret", "generic", "prometheus", "--from-literal=password=a-word")
    ref = {"name": "prometheus", "key": "password"}
    auth = {"basic": {"username": "penstock", "passwordRef": ref}}
    story.apply("MetricsSource", "default", {"url": story.bed.prometheus_url, "auth": auth})
    path = f"{story.path('metricssources')}/default"
    told = wait_for(
        "it may not read it",
        lambda: ready(story, path),
        lambda one: one.get("reason") == "SecretForbidden",
    )
    assert told["message"] == (
        "spec.auth.basic.passwordRef: Penstock may not read Secret prometheus in namespace "
        f'{story.namespace}; grant its service account "get" on it there'
    )

    granted = CREDENTIALS.read_text().replace("namespace: shop", f"namespace: {story.namespace}")
    story.do("apply", "-f", "-", stdin=granted)
    wait_for("it is read", lambda: ready(story, path), lambda one: one["reason"] == "Connected")


def test_without_the_right_to_post_events_all_else_continues(story: Story) -> None:
    lost = Permission("", "events", "create")
    with without(story.bed, lost):
        hold_a_release(story)
        story.wait_held()
        wait_told(story, lost)


@pytest.mark.parametrize("verb", ["get", "create", "patch"])
def test_without_the_right_to_keep_ledgers_budgets_are_measured_all_the_same(
    story: Story, verb: str
) -> None:
    """Only a restart costs more."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{LEDGERS}"
    with without_in(story.bed, "penstock-lease", Permission("", "configmaps", verb)):
        # Not before: what the operator knew already might be kept again meanwhile.
        story.kube.call("DELETE", path, ok=(404,))
        if verb == "get":
            story.operator.stop()
            story.operator.start()
        story.source()
        story.slo("long", window={"rolling": "1d"})
        words = f'cannot {verb} resource "configmaps"'
        wait_for(f"the log says {words}", lambda: words in story.operator.last_words())
        wait_for(
            "it is measured",
            lambda: story.kube.call("GET", f"{story.path('slos')}/long").get("status", {}),
            lambda status: len(status.get("burnRates") or ()) > 0,
        )


def wait_told(story: Story, lost: Permission) -> None:
    words = f'cannot {lost.verb} resource "{lost.resource}"'
    wait_for(
        f"the log says {words}",
        lambda: [
            line
            for line in story.operator.last_words().splitlines()
            if words in line and f"namespaces/{story.namespace}/" in line
        ],
    )


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("view", ("get slos", "list rollouts", "watch metricssources"), ("create slos",)),
        (
            "edit",
            ("get rollouts", "create slos", "patch slos", "delete metricssources"),
            ("create rollouts", "patch rollouts", "delete rollouts"),
        ),
        ("admin", ("create rollouts", "patch rollouts", "delete rollouts", "create slos"), ()),
    ],
)
def test_people_may_do_what_their_role_says_and_nobody_touches_records(
    installed: Bed,
    namespace: str,
    role: str,
    may: tuple[str, ...],
    may_not: tuple[str, ...],
) -> None:
    user = f"{role}-of-{namespace}"
    server = Server(installed)
    server.do(
        *("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}"),
        *("--namespace", namespace),
    )

    def can(verb_and_resource: str) -> str:
        verb, resource = verb_and_resource.split()
        resource, _, subresource = resource.partition("/")
        asked = ("auth", "can-i", verb, f"{resource}.{OURS}", f"--subresource={subresource}")
        asked += ("--namespace", namespace)
        return server.kubectl(*asked, user=user).stdout.strip()

    for one in may:
        wait_for(f"{role} may {one}", lambda one=one: can(one), lambda said: said == "yes")
    records = (f"{verb} gaterecords" for verb in ("get", "create", "patch", "delete"))
    for one in (*may_not, *records, "patch rollouts/status"):
        assert can(one) == "no", f"{role} may {one}"


def test_a_namespace_with_a_held_release_can_be_deleted_while_no_operator_runs(
    story: Story,
) -> None:
    hold_a_release(story)
    story.wait_held()
    story.operator.kill()
    try:
        story.let_pods_go()
        story.bed.kube.call("DELETE", f"/api/v1/namespaces/{story.namespace}")

        path = f"/api/v1/namespaces/{story.namespace}"
        wait_for(
            "the namespace is gone",
            lambda: story.bed.kube.call("GET", path, ok=(404,)),
            lambda found: found is None,
        )
    finally:
        story.operator.start()


def test_uninstalled_in_the_documented_order_it_leaves_nothing_held_and_nothing_of_penstock(
    story: Story, tmp_path: Path
) -> None:
    hold_a_release(story)
    story.wait_held()
    story.deploy(played("theirs", replicas=2))
    story.do("rollout", "pause", "deployment/theirs")
    server = Server(story.bed)

    bindings = ("gate-deny.penstock.dev", "gate-warn.penstock.dev")
    server.do("delete", "validatingadmissionpolicybinding", *bindings)
    server.do("delete", "-k", str(ADMISSION), "--ignore-not-found")
    assert story.operator.stop() == 0
    told = deployed.release_all(story.bed, tmp_path)
    assert told.returncode == 0, told.stderr
    server.do("delete", "-k", str(deployed.BASE), "--ignore-not-found", "--timeout=120s")

    assert story.pausers() == []
    assert "penstock.dev/held" not in story.deployment()["metadata"].get("labels", {})
    assert story.deployment("theirs")["spec"]["paused"] is True
    story.change(image="example.com/web:3")
    story.wait_complete(tag="3")
    kinds = "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,namespace"
    assert "penstock" not in server.do("get", kinds, "-o", "name")
