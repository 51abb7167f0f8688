"""Hands for the story: runs kubectl, shows what it says, waits until something is so."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from typing import Any

_KUBECTL_SECONDS = 300  # a wait of its own may take that long

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


class StoryError(Exception):
    """Something that the story tells was not seen to happen."""


def kubectl(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """kubectl, unseen."""
    command = ["kubectl", *arguments]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=_KUBECTL_SECONDS
    )


def must_kubectl(env: Mapping[str, str], *arguments: str) -> str:
    """kubectl, unseen, which has to succeed."""
    done = kubectl(env, *arguments)
    if done.returncode:
        raise StoryError(f"kubectl {shlex.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


class KubectlRunner:
    """One namespace of a cluster, as a person with kubectl sees it."""

    def __init__(self, env: Mapping[str, str], namespace: str) -> None:
        self._env = env
        self._namespace = namespace

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """kubectl, unseen."""
        return kubectl(self._env, f"--namespace={self._namespace}", *arguments)

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
        return must_kubectl(self._env, f"--namespace={self._namespace}", *arguments)

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
