"""How a parallel run is shared out: file by file, those that take longest first.

A parallel run is `pytest -n 5 --dist loadfile`. Tests of one file run in one process, so that what
its fixtures start is started once. Files whose tests must not run side by side have the same
`xdist_group`; a long file may be cut into several groups. The run ends with its last process, so
what begins last should be short: hence the order.

A run in one process keeps the order of the files.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

_GROUPS = "groups.json"
_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()

# By what they took in a run of the whole suite on two cores; what is not named takes less.
LONGEST_FIRST = (
    "tests/demo/test_story.py",
    "API faults: writes",
    "API faults: reads and outages",
    "tests/demo/test_tutorial.py",
    "tests/demo/test_kind.py",
    "tests/integration/test_gate.py",
    "tests/e2e/test_deploy.py",
    "tests/integration/test_deployment_rows.py",
    "admission outages: with CRDs",
    "admission outages: without CRDs",
    "tests/integration/test_restart.py",
    "cluster-sources",
    "tests/integration/test_printed.py",
    "tests/integration/test_reasons.py",
    "tests/testbed_tests/test_daemon.py",
    "tests/testbed_tests/test_kill.py",
    "tests/packaging/test_interpreters.py",
    "tests/integration/test_long_outage.py",
    "tests/integration/test_lease.py",
    "tests/integration/test_pace.py",
    "tests/integration/test_oracle.py",
    "other-tools",
    "tests/faults/test_metrics_faults.py",
    "tests/faults/test_secrets.py",
    "tests/contract/test_every_rule_is_needed.py",
    "tests/mutation/test_planted_faults.py",
    "tests/testbed_tests/test_shared.py",
)


def group_of(item: pytest.Item) -> str:
    """What runs in one process: the tests of a group that they name, else those of a file."""
    mark = item.get_closest_marker("xdist_group")
    named = mark and (mark.args[0] if mark.args else mark.kwargs.get("name"))
    return str(named or item.nodeid.partition("::")[0])


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests by their groups; those of one group stay together and in their order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    groups = list(dict.fromkeys(map(group_of, items)))
    ordered = sorted(groups, key=lambda group: places.get(group, len(places)))
    order = {group: place for place, group in enumerate(ordered)}
    items.sort(key=lambda item: order[group_of(item)])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All workers must come to the same order."""
    told: Mapping[str, Any] = getattr(config, "workerinput", {})
    if _GROUPS not in told:
        return
    longest_first(items)
    groups = {item.nodeid: group_of(item) for item in items}
    _write_whole(Path(told[_GROUPS]), json.dumps(groups))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """The leading process collects no tests: which group each is of, a worker writes down."""
    stash = node.config.stash
    if _FOLDER not in stash:
        stash[_FOLDER] = tempfile.TemporaryDirectory(prefix="penstock-groups-")
    node.workerinput[_GROUPS] = f"{stash[_FOLDER].name}/{_GROUPS}"


def pytest_unconfigure(config: pytest.Config) -> None:
    if _FOLDER in config.stash:
        config.stash[_FOLDER].cleanup()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist=loadfile``: groups and files, in the order of the collected tests."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class FilesAndGroups(LoadFileScheduling):
        _groups: dict[str, str] | None = None

        def _split_scope(self, nodeid: str) -> str:
            if self._groups is None:
                path = Path(config.stash[_FOLDER].name) / _GROUPS
                self._groups = json.loads(path.read_text())
            return self._groups[nodeid]

    config.option.loadscopereorder = False
    return FilesAndGroups(config, log)


def _write_whole(path: Path, text: str) -> None:
    """Each worker writes the same; none may be read half."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(text)
    new.replace(path)
