"""Wrong manifests, one mistake each: the API server names the field and the remedy, and so does
the parser, for objects that were stored before a rule existed.
"""

from __future__ import annotations

import pytest
import yaml

from penstock.api.kinds import KINDS
from penstock.api.schema import rules_of, structural
from support.manifests import CONTRACT, Wrong, wrong
from support.validators import is_within, parser_says, path_of, server_says
from testbed.api import Kube
from testbed.plugin import Kubectl

REFUSED = wrong("refused")
ONLY_BY_PARSER = wrong("parser_refused")
OUR_SENTENCES = {rule["message"] for frame in KINDS for rule in rules_of(structural(frame.model))}
SHOWN_BY_KUBECTL = (
    "slo-objective-without-sign",
    "slo-window-rolling-and-calendar",
    "slo-indicator-missing",
    "slo-unknown-field-misspelt",
    "rollout-mode-unknown",
    "rollout-mode-bare-off",
    "rollout-slos-too-many",
    "source-url-with-credentials",
    "record-admits-a-text",
)

by_name = pytest.mark.parametrize("manifest", REFUSED, ids=lambda one: one.path.stem)
by_name_of_parser = pytest.mark.parametrize(
    "manifest", ONLY_BY_PARSER, ids=lambda one: one.path.stem
)


@pytest.mark.servers
@by_name
def test_the_server_refuses_the_one_mistake_by_its_field(manifest: Wrong, admin: Kube) -> None:
    problems = server_says(admin, path_of(manifest.body), manifest.body)
    assert {problem.at for problem in problems} == {manifest.at}
    assert any(problem.message.endswith(manifest.expected) for problem in problems), problems


@by_name
def test_the_parser_refuses_the_same_mistake_by_the_same_field(manifest: Wrong) -> None:
    problem = parser_says(manifest.body)
    assert problem is not None
    assert is_within(manifest.at, problem.at)
    assert manifest.expected not in OUR_SENTENCES or problem.message == manifest.expected


@by_name_of_parser
def test_what_no_schema_knows_the_parser_refuses(manifest: Wrong) -> None:
    problem = parser_says(manifest.body)
    assert problem is not None
    assert problem.at == manifest.at
    assert manifest.expected in problem.message


@pytest.mark.servers
@by_name_of_parser
def test_what_only_the_parser_refuses_the_server_accepts(manifest: Wrong, admin: Kube) -> None:
    assert server_says(admin, path_of(manifest.body), manifest.body) == ()


@pytest.mark.servers
@pytest.mark.parametrize("name", SHOWN_BY_KUBECTL)
def test_kubectl_shows_the_field_and_the_remedy(name: str, kubectl: Kubectl) -> None:
    manifest = next(one for one in REFUSED if one.path.stem == name)
    shown = kubectl("apply", "--dry-run=server", f"--filename={manifest.path}")
    assert shown.returncode == 1
    assert manifest.at in shown.stderr
    assert manifest.expected in shown.stderr


def test_each_file_of_wrong_manifests_has_a_mistake_of_its_own() -> None:
    everything = REFUSED + ONLY_BY_PARSER
    texts = {yaml.safe_dump(one.body) for one in everything}
    assert len(texts) == len(everything) >= 60
    assert {path.suffix for path in (CONTRACT / "refused").iterdir()} == {".yaml"}
