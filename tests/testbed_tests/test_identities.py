"""Service accounts and people: what they may do, and what the audit log tells of it."""

import json
import stat

import pytest

from testbed import audit, identities
from testbed.api import ApiError, Kube

pytestmark = pytest.mark.servers

READ_CONFIGMAPS = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]


@pytest.fixture
def account(bed, namespace):
    return identities.service_account(bed.kube, namespace, "robot")


def client(bed, account, path):
    bearer = identities.token(bed.kube, account)
    return Kube(identities.token_kubeconfig(path, bed.server, bed.ca_file, bearer))


def test_an_account_may_do_what_its_rules_say_and_no_more(bed, namespace, account, tmp_path):
    identities.grant(bed.kube, account, READ_CONFIGMAPS)
    kube = client(bed, account, tmp_path / "kubeconfig")
    assert kube.call("GET", f"/api/v1/namespaces/{namespace}/configmaps")["items"] is not None
    for method, path in [
        ("GET", f"/api/v1/namespaces/{namespace}/pods"),
        ("GET", "/api/v1/configmaps"),
        ("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt"),
    ]:
        with pytest.raises(ApiError) as refused:
            kube.call(method, path)
        assert refused.value.code == 403


def test_rules_can_be_granted_in_all_namespaces(bed, account, tmp_path):
    identities.grant_everywhere(bed.kube, account, READ_CONFIGMAPS)
    kube = client(bed, account, tmp_path / "kubeconfig")
    assert kube.call("GET", "/api/v1/configmaps")["items"]


def test_an_account_can_be_bound_to_a_role_that_exists(bed, account, tmp_path):
    identities.bind(bed.kube, account, "view")
    kube = client(bed, account, tmp_path / "kubeconfig")
    assert kube.call("GET", "/api/v1/pods")["items"] is not None


def test_a_person_is_known_by_name_and_has_no_rights_of_their_own(bed, namespace, tmp_path):
    path = tmp_path / "alice"
    identities.person_kubeconfig(path, bed.server, bed.pki, "alice")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    kube = Kube(path)
    answer = kube.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert answer["status"]["userInfo"]["username"] == "alice"
    with pytest.raises(ApiError) as refused:
        kube.call("GET", f"/api/v1/namespaces/{namespace}/pods")
    assert refused.value.code == 403


def test_a_kubeconfig_is_for_its_owners_eyes_alone(bed, tmp_path):
    path = tmp_path / "alice"
    path.touch(mode=0o644)
    identities.person_kubeconfig(path, bed.server, bed.pki, "alice")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["kind"] == "Config"


def test_the_audit_log_shows_what_was_allowed_and_what_refused(bed, namespace, account, tmp_path):
    identities.grant(bed.kube, account, READ_CONFIGMAPS)
    kube = client(bed, account, tmp_path / "kubeconfig")
    kube.call("GET", f"/api/v1/namespaces/{namespace}/configmaps")
    kube.call("GET", f"/api/v1/namespaces/{namespace}/pods", ok={403})

    everything = audit.wait_for(
        bed.audit_log,
        lambda objects: len(audit.of_user(objects, account.user)) >= 2,
        mention=account.user,
    )
    objects = audit.of_user(everything, account.user)
    allowed, refused = objects
    assert (allowed.verb, allowed.resource, allowed.code) == ("list", "configmaps", 200)
    assert allowed.granted_by == ("Role", "robot")
    assert audit.forbidden(objects) == [refused]
    assert (refused.resource, refused.code) == ("pods", 403)
    assert audit.used_permissions(objects) == {audit.Permission("", "configmaps", "list")}
    unused = audit.unused(READ_CONFIGMAPS, objects)
    assert unused == [audit.Permission("", "configmaps", "get")]
    assert audit.uncovered(READ_CONFIGMAPS, objects) == [refused]
