"""What the docs show is what the parser takes, unknown fields refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from penstock.api.parse import parse_metrics_source, parse_rollout, parse_slo

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples"
PARSERS = {"SLO": parse_slo, "Rollout": parse_rollout, "MetricsSource": parse_metrics_source}


@pytest.mark.parametrize(
    "file", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda file: str(file.relative_to(EXAMPLES))
)
def test_every_manifest_of_the_docs_parses(file: Path) -> None:
    for body in yaml.safe_load_all(file.read_text()):
        if not body["apiVersion"].startswith("penstock.dev/"):
            continue
        parsed = PARSERS[body["kind"]](body, unknown="forbid")
        assert parsed.ref.name == body["metadata"]["name"]
