"""A Go program of one file in place of the real servers, so that building it takes seconds.

Run as a script it is "another process that wants the binaries": `ensure` with this table.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from testbed import binaries
from testbed.binaries import BinariesMissing, ensure
from testbed.cache import Cache
from testbed.versions import Binary, Tool

MAIN = 'package main\n\nvar version = "none"\n\nfunc main() { println("tiny version", version) }\n'


def slow(functions: int) -> str:
    """Source that keeps the compiler busy: about a second for 60 functions."""
    return MAIN + "".join(
        f"\nfunc f{n}(a, b, c map[string][]int) int {{\n"
        + "".join(f'\ta["x{i}"] = append(b["y{i}"], c["z{i}"][a["v"][{i}]])\n' for i in range(30))
        + "\treturn len(a)\n}\n"
        for n in range(functions)
    )


def write_modules(folder: Path, source: str = MAIN, go_mod: str = "", go_sum: str = "") -> Path:
    """A module folder `tiny` in `folder`, as the real ones lie in `tools/`."""
    modules = folder / "tiny"
    modules.mkdir(parents=True, exist_ok=True)
    (modules / "go.mod").write_text(f"module tiny\n\ngo 1.26.0\n{go_mod}")
    (modules / "go.sum").write_text(go_sum)
    (modules / "main.go").write_text(source)
    return folder


def table(folder: Path) -> dict[str, Binary]:
    tool = Tool("tiny", "1.2.3", variables=("main.version=1.2.3",), tools=folder)
    return {"tiny": Binary("tiny", tool, "tiny", 5, (), r"tiny version (\S+)")}


def a_cache(root: Path) -> Cache:
    """An empty cache that borrows Go's own caches from the real one: they hold Go's runtime."""
    cache = Cache(root)
    cache.go.parent.mkdir(parents=True, exist_ok=True)
    if not cache.go.is_symlink():
        Cache().go.mkdir(parents=True, exist_ok=True)
        cache.go.symlink_to(Cache().go)
    return cache


def main(modules: str, root: str) -> int:
    binaries.BINARIES = table(Path(modules))
    try:
        print(ensure(["tiny"], lambda line: print(line, flush=True), a_cache(Path(root)))["tiny"])
    except BinariesMissing as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ["TINY_MODULES"], os.environ["TINY_CACHE"]))
