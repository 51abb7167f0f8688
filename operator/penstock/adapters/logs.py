"""Log lines as JSON for machines or text for people; other libraries log only what matters."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

QUIET = ("kopf", "aiohttp", "asyncio", "urllib3", "kubernetes")


def set_up(level: str, form: str) -> None:
    """Log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its thread cannot handle signals and does not have to: ours does.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    # Kopf logs every event that it handles; Penstock logs what they mean.
    logging.getLogger("kopf.objects").setLevel(logging.ERROR)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
