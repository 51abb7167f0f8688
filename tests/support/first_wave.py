"""What the operator of the first wave (commit 704bfa0) left in a cluster, as it wrote it.

Written by that commit on a test bed, with a release held for an exhausted budget that came back,
and calm for six of ten minutes; printed by `kubectl get -o json --show-managed-fields` after it had
ended. Nothing was edited; of the ConfigMaps only the snapshot was kept.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

FOLDER = Path(__file__).parents[1] / "data" / "first-wave"
LEDGER = "penstock-ledger-0"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def left(kind: str, name: str = "web") -> dict[str, Any]:
    """One object, of the plural of its kind."""
    items = json.loads((FOLDER / f"{kind}.json").read_text())["items"]
    (found,) = [one for one in items if one["metadata"]["name"] == name]
    return dict(found)


def moment(text: str) -> datetime:
    """A moment as the API server writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def later(value: T, by: timedelta) -> T:
    """The same with every moment in it moved, as if all had happened so much later."""
    if isinstance(value, dict):
        return {key: later(one, by) for key, one in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [later(one, by) for one in value]  # type: ignore[return-value]
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        moved = (moment(value) + by).astimezone(UTC)
        return moved.isoformat().replace("+00:00", "Z")  # type: ignore[return-value]
    return value


def with_uids(value: T, uids: dict[str, str]) -> T:
    """The same with each former uid replaced by that of the object which takes its place."""
    text = json.dumps(value)
    for former, now in uids.items():
        text = text.replace(former, now)
    found: T = json.loads(text)
    return found
