"""The manifests in ``tests/contract/``: right ones, and wrong ones with what is said about them.

A wrong one begins with two comments, the field and the sentence::

    # at: spec.objective
    # expect: objective: write a percentage from 50% to under 100%
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from penstock.api.kinds import API_VERSION

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "tests" / "contract"


@dataclass(frozen=True)
class Right:
    """A manifest that is accepted; ``name`` is its file, or its place in a page of the docs."""

    name: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Wrong:
    """A manifest with one mistake, at one field."""

    path: Path
    body: dict[str, Any]
    at: str
    expected: str


@cache
def right() -> list[Right]:
    """All of ``accepted/``, and every whole manifest of ours that a page for users shows."""
    files = sorted((CONTRACT / "accepted").glob("*.yaml"))
    return [Right(path.stem, yaml.safe_load(path.read_text())) for path in files] + [*_in_docs()]


@cache
def wrong(folder: str) -> list[Wrong]:
    """All of one folder of wrong manifests."""
    return [_read_wrong(path) for path in sorted((CONTRACT / folder).glob("*.yaml"))]


def _read_wrong(path: Path) -> Wrong:
    text = path.read_text()
    comments = re.match(r"# at: (.+)\n# expect: (.+)\n", text)
    assert comments is not None, f"{path} does not begin with # at: and # expect:"
    return Wrong(path, yaml.safe_load(text), comments[1], comments[2])


def _in_docs() -> Iterator[Right]:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        blocks = re.findall(r"^```ya?ml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        for number, block in enumerate(blocks, 1):
            for body in yaml.safe_load_all(block):
                if isinstance(body, dict) and body.get("apiVersion") == API_VERSION:
                    body["metadata"].pop("namespace", None)  # tests choose their own
                    yield Right(f"{page.relative_to(ROOT)}, block {number}, {body['kind']}", body)
