"""The CustomResourceDefinitions: what frames the schemas, and the files in ``crds/``.

``python -m penstock.api.crds --write crds`` writes them, ``--check crds`` fails where they differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from penstock.api.kinds import GROUP, KINDS, VERSION, Column, KindSpec
from penstock.api.schema import structural


def manifest(kind: KindSpec) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    schema = structural(kind.model)
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    } | schema["properties"]
    names = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "categories": ["penstock"],
    }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if "status" in schema["properties"]:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": names | ({"shortNames": [kind.short]} if kind.short else {}),
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
        f"{kind.plural}.yaml": head
        + yaml.dump(manifest(kind), Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
        for kind in KINDS
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
