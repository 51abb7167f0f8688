"""Follows what a list of the API server contains, through its restarts, pauses and lost events.

Owns the loop of list, watch and list again. Each round begins with a full list, also when nothing
went wrong: what a watch failed to tell is found after one period at the latest. It never ends by
itself, since the API server may be away for as long as a test likes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from testbed.api import ApiError, Kube

Object = dict[str, Any]

TROUBLE = (ApiError, OSError, ValueError, LookupError, TypeError, AttributeError)
"""What a call and the reading of its answer raise when the server is away or says no, and when an
answer is cut off or is not at all what was asked for."""

_PAUSE = 0.5


class ListWatch:
    """Tells of each object in a list when it is new or changed, and of its uid when it is gone."""

    def __init__(
        self,
        kube: Kube,
        path: str,
        *,
        changed: Callable[[Object], None],
        gone: Callable[[str], None],
        period: int = 60,
    ) -> None:
        self._kube, self._path, self._period = kube, path, period
        self._changed, self._gone = changed, gone
        self._versions: dict[str, str] = {}
        self._stopped = threading.Event()

    def run(self) -> None:
        """Follow until `stop`."""
        while not self._stopped.is_set():
            try:
                self._watch(self._list())
            except TROUBLE as trouble:
                print(f"{self._path}: {trouble}; trying again", file=sys.stderr, flush=True)
                self._stopped.wait(_PAUSE)

    def stop(self) -> None:
        """End with the watch that is open, after one period at the latest."""
        self._stopped.set()

    def _list(self) -> str:
        listed = self._kube.call("GET", self._path)
        items = {item["metadata"]["uid"]: item for item in listed["items"]}
        for uid in self._versions.keys() - items.keys():
            self._lose(uid)
        for item in items.values():
            self._tell(item)
        return str(listed["metadata"]["resourceVersion"])

    def _watch(self, version: str) -> None:
        for event in self._kube.watch(self._path, version, self._period):
            if self._stopped.is_set():
                return
            if event["type"] == "ERROR":
                self._stopped.wait(_PAUSE)
                return
            if event["type"] == "DELETED":
                self._lose(event["object"]["metadata"]["uid"])
            elif event["type"] in ("ADDED", "MODIFIED"):
                self._tell(event["object"])

    def _tell(self, item: Object) -> None:
        uid, version = item["metadata"]["uid"], item["metadata"]["resourceVersion"]
        if self._versions.get(uid) != version:
            self._versions[uid] = version
            self._changed(item)

    def _lose(self, uid: str) -> None:
        if self._versions.pop(uid, None) is not None:
            self._gone(uid)
