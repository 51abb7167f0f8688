"""The CustomResourceDefinitions: what frames the schemas, and the files in ``crds/``.

``python -m penstock.api.crds --write crds`` writes them, ``--check crds`` fails where they differ.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.api.base import KubeModel
from penstock.api.gate_record import GateRecord
from penstock.api.rollout import Rollout
from penstock.api.schema import structural
from penstock.api.slo import SLO
from penstock.api.source import ClusterMetricsSource, MetricsSource

GROUP = "penstock.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True)
class Column:
    """One column of ``kubectl get``; priority 1 shows with ``-o wide`` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


AGE = Column("Age", ".metadata.creationTimestamp", "date")
_READY = '.status.conditions[?(@.type=="Ready")]'
READY = (Column("Ready", f"{_READY}.status"), Column("Reason", f"{_READY}.reason"))


@dataclass(frozen=True)
class Frame:
    """How one kind is named, scoped and shown."""

    model: type[KubeModel]
    plural: str
    short: str | None
    columns: tuple[Column, ...]
    namespaced: bool = True

    @property
    def kind(self) -> str:
        """The kind's name is its model's."""
        return self.model.__name__


FRAMES = (
    Frame(
        SLO,
        "slos",
        "gslo",
        (
            Column("Objective", ".spec.objective"),
            Column("Window", ".status.display.window"),
            Column("SLI", ".status.display.indicator"),
            Column("Budget-Left", ".status.display.budgetLeft"),
            Column("Burn", ".status.display.burn"),
            Column("State", ".status.state"),
            AGE,
        ),
    ),
    Frame(
        Rollout,
        "rollouts",
        "gro",
        (
            Column("Workload", ".status.workload.name"),
            Column("Gate", ".status.gate.state"),
            Column("Reason", ".status.gate.reason"),
            Column("SLO", ".status.gate.slo"),
            Column("Since", ".status.gate.since", "date"),
            AGE,
            Column("Mode", ".spec.mode", priority=1),
            Column("Hold", ".status.hold.effective", priority=1),
            Column("Message", ".status.gate.summary", priority=1),
        ),
    ),
    Frame(
        GateRecord,
        "gaterecords",
        None,
        (
            Column("Workload", ".data.workload.name"),
            Column("Admits", ".data.admits", "boolean"),
            Column("Admission", ".data.admission"),
            AGE,
            Column("Message", ".data.message", priority=1),
        ),
    ),
    Frame(
        MetricsSource,
        "metricssources",
        None,
        (
            Column("URL", ".spec.url"),
            *READY,
            AGE,
            Column("Message", f"{_READY}.message", priority=1),
        ),
    ),
    Frame(
        ClusterMetricsSource,
        "clustermetricssources",
        None,
        (
            Column("URL", ".spec.url"),
            *READY,
            AGE,
            Column("Message", f"{_READY}.message", priority=1),
        ),
        namespaced=False,
    ),
)


def manifest(frame: Frame) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    schema = structural(frame.model)
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    } | schema["properties"]
    names = {
        "kind": frame.kind,
        "listKind": f"{frame.kind}List",
        "plural": frame.plural,
        "singular": frame.kind.lower(),
        "categories": ["penstock"],
    }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [_column(column) for column in frame.columns],
    }
    if "status" in schema["properties"]:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{frame.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if frame.namespaced else "Cluster",
            "names": names | ({"shortNames": [frame.short]} if frame.short else {}),
            "versions": [version],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return shown | ({"priority": column.priority} if column.priority else {})


class _Plain(yaml.SafeDumper):
    """Writes each list where it stands: readers of a CRD expect no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def files() -> dict[str, str]:
    """Name and text of each file in ``crds/``."""
    head = "# Generated from the models in operator/penstock/api by `make crds`; do not edit.\n"
    return {
        f"{frame.plural}.yaml": head
        + yaml.dump(manifest(frame), Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
        for frame in FRAMES
    }


def drift(folder: Path) -> list[str]:
    """Names of the files that are missing, differ, or should not be there."""
    wanted = files()
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    return sorted(name for name in wanted | present if wanted.get(name) != present.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files; the exit code is 1 on drift."""
    parser = argparse.ArgumentParser(prog="python -m penstock.api.crds", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER")
    action.add_argument("--check", type=Path, metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        chosen.write.mkdir(parents=True, exist_ok=True)
        for name, text in files().items():
            (chosen.write / name).write_text(text, encoding="utf-8")
        return 0
    differing = drift(chosen.check)
    if differing:
        sys.stderr.write(
            f"{chosen.check}: {', '.join(differing)} differ from the models; run: make crds\n"
        )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
