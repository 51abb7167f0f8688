"""The audit log: read whole, and compared with what a role grants."""

import json

import pytest

from testbed import audit
from testbed.audit import Permission

USER = "system:serviceaccount:shop:robot"
BY_ROLE = 'RBAC: allowed by RoleBinding "robot/shop" of Role "robot" to ServiceAccount "robot/shop"'


def event(identifier, verb, resource="configmaps", decision="allow", **more):
    target = {"resource": resource, "namespace": "shop", "apiVersion": "v1"} if resource else None
    return {
        "auditID": identifier,
        "stage": "ResponseComplete",
        "requestReceivedTimestamp": "2026-01-01T12:00:00.123456Z",
        "user": {"username": USER},
        "verb": verb,
        "requestURI": "/api/v1/namespaces/shop/configmaps?limit=500",
        "objectRef": target,
        "responseStatus": {"code": 200 if decision == "allow" else 403},
        "annotations": {
            "authorization.k8s.io/decision": decision,
            "authorization.k8s.io/reason": BY_ROLE if decision == "allow" else "",
        },
    } | more


@pytest.fixture
def log(tmp_path):
    def write(*events, tail=""):
        path = tmp_path / "audit.log"
        path.write_text("".join(json.dumps(e) + "\n" for e in events) + tail)
        return path

    return write


def test_an_entry_shows_who_asked_for_what_and_which_role_allowed_it(log):
    (obj,) = audit.read(log(event("1", "list")))
    assert (obj.user, obj.verb, obj.resource, obj.code) == (USER, "list", "configmaps", 200)
    assert obj.granted_by == ("Role", "robot")


def test_a_half_written_last_line_is_left_for_the_next_time(log):
    line = json.dumps(event("2", "get"))
    for cut in (1, len(line) // 2, len(line)):
        assert len(audit.read(log(event("1", "list"), tail=line[:cut]))) == 1
    assert len(audit.read(log(event("1", "list"), tail=line + "\n"))) == 2


def test_a_log_that_is_not_there_yet_is_empty(tmp_path):
    assert audit.read(tmp_path / "audit.log") == []


def test_only_lines_with_a_mention_are_read_when_one_is_given(log):
    path = log(event("1", "list"), event("2", "get", user={"username": "somebody"}))
    assert [obj.verb for obj in audit.read(path, USER)] == ["list"]


def test_a_watch_is_one_entry_though_it_is_logged_twice(log):
    begun = event("1", "watch", stage="ResponseStarted")
    (obj,) = audit.read(log(begun, event("2", "get"), event("1", "watch")))[:1]
    assert obj.verb == "watch"
    assert len(audit.read(log(begun, event("1", "watch")))) == 1


def test_forbidden_are_those_the_authorizer_refused(log):
    refused = event("2", "delete", decision="forbid")
    refused_by_admission = event("3", "patch", responseStatus={"code": 403})
    objects = audit.read(log(event("1", "list"), refused, refused_by_admission))
    assert [obj.verb for obj in audit.forbidden(objects)] == ["delete"]


def test_used_permissions_are_written_as_rbac_rules(log):
    status = event("1", "patch")
    status["objectRef"] |= {"apiGroup": "apps", "resource": "deployments", "subresource": "status"}
    paths = event("2", "get", resource="", requestURI="/version?timeout=32s")
    refused = event("3", "delete", decision="forbid")
    assert audit.used_permissions(audit.read(log(status, paths, refused))) == {
        Permission("apps", "deployments/status", "patch"),
        Permission("", "", "get", path="/version"),
    }


RULES = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]},
    {"nonResourceURLs": ["/metrics", "/healthz/*"], "verbs": ["get"]},
]


def test_parts_of_a_role_that_nothing_needed_are_unused(log):
    objects = audit.read(
        log(
            event("1", "list"),
            event("2", "get", decision="forbid"),
            event("3", "get", resource="", requestURI="/healthz/etcd?verbose"),
        )
    )
    assert audit.unused(RULES, objects) == [
        Permission("", "configmaps", "get"),
        Permission("apps", "deployments", "patch"),
        Permission("", "", "get", path="/metrics"),
    ]


def test_requests_that_a_role_does_not_allow_are_uncovered(log):
    objects = audit.read(
        log(
            event("1", "list"),
            event("2", "get", resource="", requestURI="/version"),
            event("3", "delete", decision="forbid"),
        )
    )
    assert [obj.id for obj in audit.uncovered(RULES, objects)] == ["2", "3"]


@pytest.mark.parametrize(
    ("rule", "covered"),
    [
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, True),
        ({"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]}, True),
        ({"apiGroups": [""], "resources": ["*/status"], "verbs": ["patch"]}, True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}, False),
        ({"apiGroups": ["apps"], "resources": ["pods/status"], "verbs": ["patch"]}, False),
        (
            {
                "apiGroups": [""],
                "resources": ["pods/status"],
                "verbs": ["patch"],
                "resourceNames": ["a"],
            },
            True,
        ),
        (
            {
                "apiGroups": [""],
                "resources": ["pods/status"],
                "verbs": ["patch"],
                "resourceNames": ["b"],
            },
            False,
        ),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, False),
    ],
)
def test_a_rule_covers_what_the_authorizer_would_allow_by_it(log, rule, covered):
    patch = event("1", "patch")
    patch["objectRef"] |= {"resource": "pods", "subresource": "status", "name": "a"}
    assert (audit.uncovered([rule], audit.read(log(patch))) == []) is covered


def test_waiting_in_vain_shows_the_last_entries(log):
    with pytest.raises(TimeoutError, match="list configmaps"):
        audit.wait_for(log(event("1", "list")), lambda objects: len(objects) > 1, seconds=0.1)
