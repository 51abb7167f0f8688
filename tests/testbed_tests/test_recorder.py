"""What the recorder reads out of requests, and what it refuses to keep."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from testbed.recorder import REDACTED, Attempt, Recorder, read_write

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/checkout"
SECRET = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "aHVudGVyMg=="}}


def attempt(method, path, body=None, answer=None, **more):
    known = {"query": "", "content_type": "application/json", "user_agent": "test/1"}
    return Attempt(
        **known
        | {"at": NOON, "forwarded": True, "code": 200 if answer is not None else None}
        | more,
        method=method,
        path=path,
        body=b"" if body is None else json.dumps(body).encode(),
        answer=b"" if answer is None else json.dumps(answer).encode(),
    )


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("PATCH", DEPLOYMENT, ("patch", "apps", "v1", "shop", "deployments", "checkout", "")),
        (
            "PUT",
            DEPLOYMENT + "/scale",
            ("update", "apps", "v1", "shop", "deployments", "checkout", "scale"),
        ),
        (
            "DELETE",
            "/api/v1/namespaces/shop/pods",
            ("deletecollection", "", "v1", "shop", "pods", "", ""),
        ),
        ("DELETE", "/api/v1/namespaces/shop", ("delete", "", "v1", "", "namespaces", "shop", "")),
        (
            "PUT",
            "/api/v1/namespaces/shop/finalize",
            ("update", "", "v1", "", "namespaces", "shop", "finalize"),
        ),
        (
            "POST",
            "/apis/penstock.dev/v1alpha1/clustermetricssources",
            ("create", "penstock.dev", "v1alpha1", "", "clustermetricssources", "", ""),
        ),
        ("POST", "/version", ("create", "", "", "", "", "", "")),
    ],
)
def test_a_path_shows_what_is_written(method, path, expected):
    write = read_write(attempt(method, path))
    assert expected == (
        write.verb,
        write.group,
        write.version,
        write.namespace,
        write.resource,
        write.name,
        write.subresource,
    )


def test_a_created_object_is_known_by_the_name_the_server_gave_it():
    answer = {"kind": "Pod", "metadata": {"name": "web-x1", "uid": "u", "resourceVersion": "7"}}
    body = {"metadata": {"generateName": "web-"}}
    write = read_write(attempt("POST", "/api/v1/namespaces/shop/pods", body, answer, code=201))
    assert (write.name, write.kind, write.uid, write.resource_version) == (
        "web-x1",
        "Pod",
        "u",
        "7",
    )


def test_an_apply_is_read_as_yaml_and_names_its_manager():
    applied = attempt(
        "PATCH",
        DEPLOYMENT,
        query="fieldManager=penstock-hold-1234&force=true",
        content_type="application/apply-patch+yaml",
    )
    text = b"kind: Deployment\nspec: {paused: true}\n"
    write = read_write(Attempt(**vars(applied) | {"body": text}))
    assert write.body == {"kind": "Deployment", "spec": {"paused": True}}
    assert write.manager == "penstock-hold-1234"


def test_without_a_manager_the_user_agent_is_taken_as_the_server_takes_it():
    assert read_write(attempt("PATCH", DEPLOYMENT, user_agent="kubectl/v1.37")).manager == "kubectl"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/namespaces/shop/secrets", SECRET),
        ("/api/v1/namespaces/shop/secrets/s", {"data": {"password": "aHVudGVyMg=="}}),
        ("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "aHVudGVyMg=="}}),
        ("/api/v1/namespaces/shop/serviceaccounts/a/token", {"x": "aHVudGVyMg=="}),
        ("/somewhere/else", SECRET),
    ],
)
def test_secrets_and_tokens_are_not_kept(path, body):
    recorder = Recorder()
    recorder.record(attempt("POST", path, body, {"status": {"token": "aHVudGVyMg=="}} | body))
    (write,) = recorder.writes()
    assert write.body == REDACTED
    assert "aHVudGVyMg" not in repr(write)


@pytest.mark.parametrize(
    ("more", "applied"),
    [
        ({"code": 200}, True),
        ({"code": 409}, False),
        ({"code": None}, None),
        ({"forwarded": False, "code": 503}, False),
        ({"code": 200, "query": "dryRun=All"}, False),
    ],
)
def test_a_write_shows_whether_it_was_applied(more, applied):
    assert read_write(attempt("PATCH", DEPLOYMENT, **more)).applied is applied


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"k8s\x00protobuf", b"a: [", b""])
def test_a_body_that_cannot_be_read_is_none(body):
    for content_type in ("application/json", "application/apply-patch+yaml"):
        broken = attempt("PATCH", DEPLOYMENT, content_type=content_type)
        assert read_write(Attempt(**vars(broken) | {"body": body})).body is None


def test_reads_and_posted_queries_are_not_writes():
    recorder = Recorder()
    recorder.record(attempt("GET", DEPLOYMENT))
    form = "application/x-www-form-urlencoded"
    recorder.record(attempt("POST", "/api/v1/query", content_type=form))
    assert recorder.writes() == []


def test_the_record_is_asked_by_kind_name_and_time():
    recorder = Recorder()
    for minute, name in enumerate(["a", "b", "a"]):
        body = {"kind": "SLO", "metadata": {"name": name}}
        at = NOON + timedelta(minutes=minute)
        path = f"/apis/penstock.dev/v1alpha1/namespaces/shop/slos/{name}/status"
        recorder.record(attempt("PATCH", path, body, at=at))
    hold = "fieldManager=penstock-hold-1"
    recorder.record(attempt("PATCH", DEPLOYMENT, {"kind": "Deployment"}, query=hold))

    assert len(recorder.writes(kind="SLO", name="a")) == 2
    assert len(recorder.writes(kind="SLO", since=NOON + timedelta(minutes=1))) == 2
    assert [write.resource for write in recorder.holds()] == ["deployments"]
    assert recorder.count() == {"SLO": 3, "Deployment": 1}
    assert recorder.count(lambda write: write.name)["a"] == 2
    assert len(recorder.describe().splitlines()) == 4
    recorder.clear()
    assert recorder.writes() == []
