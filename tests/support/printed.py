"""What kubectl prints, without what differs from run to run, beside what it printed before.

Times, ages, hashes, uids and measured numbers become words in angle brackets; the widths of columns
follow from them and are dropped. All the rest is compared letter by letter.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

WRITE = "PENSTOCK_WRITE_SNAPSHOTS"

_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d UTC"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<hash>"),
    (re.compile(r"\bweb-[0-9a-f]{8,10}\b"), "web-<hash>"),
    (re.compile(r"-?\d+\.\d+( ?%|x)"), r"<number>\1"),
    (
        re.compile(r"(?m)^( +(Remaining At Start|Serial|Resource Version|Rate): +).*$"),
        r"\1<number>",
    ),
    (re.compile(r"(?m)^(  Resource Version: +).*$"), r"\1<number>"),
)
_EVENT_AGE = re.compile(r"(?<=\s)(\d+[smh])+(?=\s+penstock\s)")
_AGES = ("SINCE", "AGE")
_HISTORY = re.compile(r"(?m)^  History:\n(    .*\n)*")
_RECENT = re.compile(r"(?m)^    Recent Holds:\n(      .*\n)*")
_LAST_APPLIED = re.compile(r"(?m)^Annotations: .*$")


def table(text: str, namespace: str) -> str:
    """The output of `kubectl get`."""
    lines, offsets = [], {}
    for line in text.splitlines():
        if line.startswith("NAME"):
            found = [(match[0], match.start()) for match in re.finditer(r"\S+", line)]
            offsets = {name: start for name, start in found if name in _AGES}
        lines.append(line if line.startswith("NAME") else _without_ages(line, offsets))
    return _normal("\n".join(lines), namespace)


def description(text: str, namespace: str, reason: str) -> str:
    """The output of `kubectl describe`, of its events the last one.

    kubectl sorts them by whole seconds, so of one second's events any may come last: `reason` says
    which is meant.
    """
    head, _, tail = text.partition("\nEvents:")
    head = _RECENT.sub("", _HISTORY.sub("", _LAST_APPLIED.sub("", head)))
    named = [line for line in tail.splitlines() if f" {reason} " in line]
    last = _EVENT_AGE.sub("<age>", named[-1].strip())
    return _normal(f"{head}\nEvents, the last:\n{last}\n", namespace)


def check(file: Path, printed: str) -> None:
    """Compare with the snapshot, or write it where the environment asks for that."""
    if os.environ.get(WRITE):
        file.parent.mkdir(exist_ok=True)
        file.write_text(printed, encoding="utf-8")
        return
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    found = difflib.unified_diff(expected.splitlines(), printed.splitlines(), lineterm="", n=1)
    difference = "\n".join(found)
    assert not difference, f"if this is right, run again with {WRITE}=1:\n{difference}"


def _without_ages(line: str, offsets: Mapping[str, int]) -> str:
    for start in sorted(offsets.values(), reverse=True):
        if line:
            line = line[:start] + re.sub(r"^\S+", "<age>", line[start:])
    return line


def _normal(text: str, namespace: str) -> str:
    text = text.replace(namespace, "shop")
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    lines = [re.sub(r"(?<=\S) {2,}", "  ", line).rstrip() for line in text.splitlines()]
    return "\n".join(lines) + "\n"
