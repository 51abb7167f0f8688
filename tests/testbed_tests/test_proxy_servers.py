"""The fault proxy before the real API server and the real Prometheus."""

import http.client
import json
import ssl
import subprocess
import urllib.parse
from contextlib import closing

import pytest

from testbed import identities
from testbed.fault_actions import (
    ApplyThenCut,
    CutWatch,
    EditWatch,
    Garble,
    InjectLine,
    ReplaceBody,
    SlowBody,
    StaleList,
    api_error,
    prometheus_error,
    watch_error,
)
from testbed.fault_plan import First, Match, Plan, Rule
from testbed.proxy import FaultProxy, before_api_server

pytestmark = pytest.mark.servers

PATIENCE = 30
APPLY = "application/apply-patch+yaml"
RULES = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]


class Robot:
    """A client of the proxy that shows each answer as it came, with a token of its own."""

    def __init__(self, bed, namespace, proxy, token):
        self.bed, self.proxy, self.token = bed, proxy, token
        self.configmaps = f"/api/v1/namespaces/{namespace}/configmaps"
        self.context = ssl.create_default_context(cafile=bed.ca_file)

    def connect(self):
        return closing(
            http.client.HTTPSConnection(
                "127.0.0.1", self.proxy.port, timeout=PATIENCE, context=self.context
            )
        )

    def send(self, connection, method, path, body=None, content_type="application/json"):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, headers)
        return connection.getresponse()

    def ask(self, method, path, body=None, content_type="application/json"):
        with self.connect() as connection:
            answer = self.send(connection, method, path, body, content_type)
            return answer.status, answer.read()

    def apply(self, name, **data):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        return self.ask("PATCH", f"{self.configmaps}/{name}?fieldManager=robot", body, APPLY)

    def create_directly(self, name):
        self.bed.kube.call("POST", self.configmaps, {"metadata": {"name": name}})

    def names_directly(self):
        items = self.bed.kube.call("GET", self.configmaps)["items"]
        return {item["metadata"]["name"] for item in items} - {"kube-root-ca.crt"}

    def version(self):
        return self.bed.kube.call("GET", self.configmaps)["metadata"]["resourceVersion"]

    def watch_path(self):
        ours = "fieldSelector=metadata.name!%3Dkube-root-ca.crt"
        return f"{self.configmaps}?watch=true&resourceVersion={self.version()}&{ours}"


@pytest.fixture
def proxy(bed):
    with before_api_server(bed.server, bed.pki) as proxy:
        yield proxy


@pytest.fixture
def account(bed, namespace):
    account = identities.service_account(bed.kube, namespace, "robot")
    identities.grant(bed.kube, account, RULES)
    return account


@pytest.fixture
def robot(bed, namespace, proxy, account):
    return Robot(bed, namespace, proxy, identities.token(bed.kube, account))


def plan(act, **match):
    return Plan((Rule(Match(**match), act),), seed=11)


def named(line):
    return json.loads(line)["object"]["metadata"]["name"]


def test_a_list_passes(robot):
    robot.create_directly("one")
    status, body = robot.ask("GET", robot.configmaps)
    assert status == 200
    assert "one" in {item["metadata"]["name"] for item in json.loads(body)["items"]}


def test_who_asks_is_known_by_the_token_alone(robot, proxy):
    robot.token = "nonsense"
    assert robot.ask("GET", robot.configmaps)[0] == 401
    assert proxy.log[-1].status == 401


def test_events_of_a_watch_pass_at_once(robot):
    with robot.connect() as connection:
        answer = robot.send(connection, "GET", robot.watch_path())
        for name in ("one", "two"):
            robot.create_directly(name)
            assert named(answer.readline()) == name
        answer.close()


def test_server_side_apply_passes_and_is_recorded(robot, proxy, namespace):
    status, body = robot.apply("one", a="b")
    assert status == 201
    (write,) = proxy.recorder.writes(kind="ConfigMap", name="one")
    stored = json.loads(body)["metadata"]
    assert (write.verb, write.manager, write.applied) == ("patch", "robot", True)
    assert (write.uid, write.resource_version) == (stored["uid"], stored["resourceVersion"])
    assert (write.namespace, write.body["data"]) == (namespace, {"a": "b"})


@pytest.mark.parametrize(("code", "reason"), [(410, "Expired"), (500, "InternalError")])
def test_an_error_event_is_injected_into_a_watch(robot, proxy, code, reason):
    path = robot.watch_path()
    robot.create_directly("one")
    with proxy.faults(plan(watch_error(code, after_lines=1), query="watch=true")):
        first, error = robot.ask("GET", path)[1].splitlines()
    assert named(first) == "one"
    assert json.loads(error)["type"] == "ERROR"
    assert json.loads(error)["object"]["reason"] == reason


def test_a_watch_continues_after_a_line_of_garbage(robot, proxy):
    path = robot.watch_path()
    with proxy.faults(plan(InjectLine("not json"))), robot.connect() as connection:
        answer = robot.send(connection, "GET", path)
        assert answer.readline() == b"not json\n"
        robot.create_directly("one")
        assert named(answer.readline()) == "one"
        answer.close()


def test_a_deletion_is_dropped_from_a_watch_without_a_trace(robot, proxy):
    path = robot.watch_path()
    with proxy.faults(plan(EditWatch('"type":"DELETED"', "drop"))), robot.connect() as connection:
        answer = robot.send(connection, "GET", path)
        robot.create_directly("one")
        robot.bed.kube.call("DELETE", f"{robot.configmaps}/one")
        robot.create_directly("two")
        assert [named(answer.readline()) for _ in range(2)] == ["one", "two"]
        answer.close()


def test_a_cut_watch_can_be_taken_up_again(robot, proxy):
    path = robot.watch_path()
    robot.create_directly("one")
    with (
        proxy.faults(plan(CutWatch(after_lines=1), when=First(1))),
        robot.connect() as connection,
    ):
        answer = robot.send(connection, "GET", path)
        assert named(answer.readline()) == "one"
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    with robot.connect() as connection:
        answer = robot.send(connection, "GET", path)
        assert named(answer.readline()) == "one"
        answer.close()


def test_a_write_whose_answer_was_lost_is_really_applied(robot, proxy):
    with proxy.faults(plan(ApplyThenCut())), pytest.raises(http.client.RemoteDisconnected):
        robot.apply("one", a="b")
    assert robot.names_directly() == {"one"}
    assert proxy.recorder.writes(name="one")[0].applied


def test_a_write_that_was_refused_by_the_proxy_is_not_applied(robot, proxy):
    with proxy.faults(plan(api_error(409))):
        status, body = robot.apply("one", a="b")
    assert (status, json.loads(body)["reason"]) == (409, "Conflict")
    assert robot.names_directly() == set()
    assert proxy.recorder.writes(name="one")[0].applied is False


def test_a_stale_list_shows_the_past(robot, proxy):
    robot.create_directly("one")
    past = robot.version()
    robot.create_directly("two")
    with proxy.faults(plan(StaleList(past))):
        body = json.loads(robot.ask("GET", robot.configmaps)[1])
    assert "two" not in {item["metadata"]["name"] for item in body["items"]}
    assert robot.names_directly() == {"one", "two"}


def test_a_slow_list_arrives_whole(robot, proxy):
    with proxy.faults(plan(SlowBody(20_000))):
        status, body = robot.ask("GET", robot.configmaps)
    assert status == 200
    assert json.loads(body)["kind"] == "ConfigMapList"


def test_after_an_outage_the_server_is_on_the_same_port(robot, proxy):
    with robot.connect() as connection:
        answer = robot.send(connection, "GET", robot.watch_path())
        proxy.down()
        with pytest.raises(ConnectionRefusedError):
            robot.ask("GET", robot.configmaps)
        with pytest.raises((http.client.IncompleteRead, OSError)):
            answer.read()
    proxy.up()
    assert robot.ask("GET", robot.configmaps)[0] == 200


def test_kubectl_works_through_it(robot, bed, proxy, namespace, account, tmp_path):
    config = identities.token_kubeconfig(
        tmp_path / "kubeconfig", proxy.url, bed.ca_file, robot.token, namespace=namespace
    )

    def kubectl(*args, **more):
        argv = [bed.bin["kubectl"], "--kubeconfig", config, *args]
        return subprocess.run(argv, capture_output=True, text=True, check=True, **more).stdout

    large = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}}
    large["data"] = {"text": "0123456789" * 50_000}
    kubectl("apply", "--server-side", "-f", "-", input=json.dumps(large))
    assert json.loads(kubectl("get", "configmap", "large", "-o", "json"))["data"] == large["data"]
    kubectl("wait", "--for=jsonpath={.metadata.name}=large", "configmap/large", "--timeout=30s")
    assert proxy.recorder.count()["ConfigMap"] == 1


@pytest.fixture
def prometheus(bed):
    with FaultProxy(bed.prometheus_url) as proxy:
        yield proxy


def query(prometheus, method="GET", expression="vector(1)"):
    form = urllib.parse.urlencode({"query": expression})
    path, body, headers = f"/api/v1/query?{form}", None, {}
    if method == "POST":
        path, body = "/api/v1/query", form
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection = http.client.HTTPConnection("127.0.0.1", prometheus.port, timeout=PATIENCE)
    with closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_passes_to_prometheus(prometheus, method):
    status, body = query(prometheus, method, 'label_replace(vector(1), "a", "b{}", "", "")')
    assert status == 200
    (sample,) = json.loads(body)["data"]["result"]
    assert (sample["metric"], sample["value"][1]) == ({"a": "b{}"}, "1")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_query_fails_and_others_do_not(prometheus, method):
    fault = plan(prometheus_error(422, "execution"), query=r"query=vector\(2\)")
    with prometheus.faults(fault):
        assert query(prometheus, method)[0] == 200
        status, body = query(prometheus, method, "vector(2)")
    assert (status, json.loads(body)["errorType"]) == (422, "execution")


def test_prometheus_answers_garbage(prometheus):
    with prometheus.faults(plan(Garble(3))), pytest.raises(UnicodeDecodeError):
        query(prometheus)[1].decode()
    with prometheus.faults(plan(ReplaceBody("<html>"))):
        assert query(prometheus) == (200, b"<html>")


def test_prometheus_is_gone_and_comes_back(prometheus):
    prometheus.down()
    with pytest.raises(ConnectionRefusedError):
        query(prometheus)
    prometheus.up()
    assert query(prometheus)[0] == 200
