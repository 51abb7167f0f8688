"""Runs tests on a copy of the sources, each time in a new process that is forked from this one.

It has imported what takes longest and is the same for every copy. Each line of its standard input
is a request, a JSON list: the folder of the copy, then node ids. It answers each with a line, a
JSON list: pytest's exit code, and the end of its output.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from typing import IO

PRELOADED = (
    "cryptography.x509",
    "hypothesis.strategies",
    "kubernetes",
    "prometheus_client",
    "promql_parser",
    "pydantic",
    "pytest",
    "requests",
    "xdist",
    "yaml",
)
# Nothing is rewritten, because it is enough to know that a test failed.
OPTIONS = ("-q", "--assert=plain", "--tb=short", "-p", "no:cacheprovider")
LONGEST_OUTPUT = 3_000


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        sources, *tests = json.loads(line)
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                run(sources, tests, output)
            _, status = os.waitpid(child, 0)
            output.seek(0)
            text = output.read().decode(errors="replace")[-LONGEST_OUTPUT:]
        print(json.dumps([os.waitstatus_to_exitcode(status), text]), flush=True)


def run(sources: str, tests: list[str], output: IO[bytes]) -> None:
    """In the child: does not return."""
    import pytest

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.path.insert(0, sources)
    sys.dont_write_bytecode = True
    code = pytest.main([*OPTIONS, *tests])
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
