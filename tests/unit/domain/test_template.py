"""What makes two pod templates the same release."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.domain.template import LARGEST_TEMPLATE, normalized, pod_template

BODY: dict[str, Any] = {
    "metadata": {"labels": {"app": "checkout"}, "annotations": {"checksum/config": "1"}},
    "spec": {
        "initContainers": [{"name": "migrate", "image": "migrate:1"}],
        "containers": [{"name": "app", "image": "checkout:1"}, {"name": "proxy", "image": "envoy"}],
    },
}


def with_metadata(**changes: Any) -> dict[str, Any]:
    return {**BODY, "metadata": {**BODY["metadata"], **changes}}


SAME = {
    "a restart": with_metadata(
        annotations={"checksum/config": "1", "kubectl.kubernetes.io/restartedAt": "2026-11-24"}
    ),
    "the controller's label": with_metadata(
        labels={"app": "checkout", "pod-template-hash": "5d4f8c7b9"}
    ),
    "an empty creation time": with_metadata(creationTimestamp=None),
    "another order": {
        "spec": dict(reversed(list(BODY["spec"].items()))),
        "metadata": dict(reversed(list(BODY["metadata"].items()))),
    },
}
OTHER = {
    "an image": {
        **BODY,
        "spec": {**BODY["spec"], "containers": [{"name": "app", "image": "checkout:2"}]},
    },
    "a label": with_metadata(labels={"app": "checkout", "tier": "web"}),
    "no label": with_metadata(labels={}),
    "an annotation": with_metadata(annotations={"checksum/config": "2"}),
    "the order of containers": {
        **BODY,
        "spec": {**BODY["spec"], "containers": BODY["spec"]["containers"][::-1]},
    },
}


@pytest.mark.parametrize("what", SAME)
def test_is_not_a_release(what: str) -> None:
    assert pod_template(SAME[what]).hash == pod_template(BODY).hash
    assert pod_template(SAME[what]).body == pod_template(BODY).body


@pytest.mark.parametrize("what", OTHER)
def test_is_a_release(what: str) -> None:
    assert pod_template(OTHER[what]).hash != pod_template(BODY).hash


def test_empty_maps_and_absent_ones_are_the_same() -> None:
    spec = BODY["spec"]
    bare = [
        {"spec": spec},
        {"spec": spec, "metadata": {}},
        {"spec": spec, "metadata": None},
        {"spec": spec, "metadata": {"labels": {}, "annotations": None}},
        {
            "spec": spec,
            "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-24"}},
        },
    ]
    assert {pod_template(one).hash for one in bare} == {pod_template({"spec": spec}).hash}
    assert normalized(bare[-1]) == {"spec": spec}
    assert normalized({}) == {}


def test_a_template_is_left_as_it_was_given() -> None:
    body = SAME["a restart"]
    before = repr(body)
    pod_template(body)
    assert repr(body) == before


def test_images_are_all_there_init_containers_first() -> None:
    assert pod_template(BODY).images == ("migrate:1", "checkout:1", "envoy")
    assert pod_template({"spec": {"containers": [{"name": "app"}]}}).images == ("",)


def test_its_hash_is_sixteen_digits_and_the_same_for_ever() -> None:
    """Statuses keep hashes: another way to make them would make strangers of all that ran."""
    assert pod_template(BODY).hash == "3b115194d4d439ec"
    assert pod_template({}).hash == "44136fa355b3678a"


def test_its_source_is_reported_and_makes_no_difference() -> None:
    assert pod_template(BODY, "checkout-5d4f").source == "checkout-5d4f"
    assert pod_template(BODY, "checkout-5d4f").hash == pod_template(BODY).hash


def test_one_too_large_cannot_be_shown_to_admission() -> None:
    room = LARGEST_TEMPLATE - len('{"spec":{"a":""}}')
    assert pod_template({"spec": {"a": "x" * room}}).storable
    assert not pod_template({"spec": {"a": "x" * (room + 1)}}).storable


def test_its_size_is_counted_in_bytes() -> None:
    assert not pod_template({"spec": {"a": "é" * (LARGEST_TEMPLATE // 2)}}).storable
