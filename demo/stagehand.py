"""Hands for the story: runs kubectl, shows what it says, waits until something is so."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from testbed.claim import Record

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


class StoryError(Exception):
    """Something that the story tells was not seen to happen."""


class Hands:
    """One cluster, as a person with kubectl sees it."""

    def __init__(self, folder: Path, namespace: str) -> None:
        record = Record.load(folder)
        if record is None or not record.ready:
            raise StoryError("the test bed is not there")
        self._env: Mapping[str, str] = {**os.environ, **record.env}
        self.prometheus_url = record.env["PROMETHEUS_URL"]
        self._namespace = namespace

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """kubectl, unseen."""
        return self._kubectl(f"--namespace={self._namespace}", *arguments)

    def show(self, *arguments: str, may_fail: bool = False) -> str:
        """kubectl, as one would type it, with all that it says."""
        done = self.run(*arguments)
        print(f"{BOLD}$ kubectl {shlex.join(arguments)}{PLAIN}")
        said = done.stdout + done.stderr
        for line in said.rstrip().splitlines():
            print(textwrap.indent(textwrap.fill(line, 118, break_on_hyphens=False), "  "))
        if done.returncode and not may_fail:
            raise StoryError(f"kubectl {shlex.join(arguments)} failed: {said.strip()}")
        return said

    def must(self, *arguments: str) -> str:
        """kubectl, unseen, which has to succeed."""
        done = self.run(*arguments)
        if done.returncode:
            raise StoryError(f"kubectl {shlex.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def install(self, *arguments: str) -> None:
        """Apply what has namespaces of its own, unseen."""
        done = self._kubectl("apply", *arguments)
        if done.returncode:
            raise StoryError(f"kubectl apply {shlex.join(arguments)} failed: {done.stderr.strip()}")

    def _kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", *arguments]
        return subprocess.run(
            command, env=self._env, capture_output=True, text=True, check=False, timeout=60
        )

    def get(self, what: str, name: str) -> dict[str, Any]:
        """One object as the API server has it."""
        found: dict[str, Any] = json.loads(self.must("get", what, name, "-o", "json"))
        return found

    def wait(self, what: str, seconds: float, is_so: Callable[[], object]) -> None:
        """Until it is so; the API server is asked, not our own word."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if is_so():
                return
            time.sleep(0.5)
        raise StoryError(f"{what} within {seconds:.0f} s")


def chapter(number: int, text: str) -> None:
    """One line before each step: what is about to be seen."""
    print(f"\n{BOLD}{number}. {text}{PLAIN}", flush=True)


def aside(text: str) -> None:
    """A remark."""
    print(f"{DIM}  {text}{PLAIN}", flush=True)
