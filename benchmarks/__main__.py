"""`make bench`: the figures that we promise, each with its bar; exit code 1 when one is missed."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks import admission, release, scale
from benchmarks.figures import table
from testbed.bed import Bed

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Measure everything on one bed."""
    begun, figures = time.monotonic(), []
    chosen = sys.argv[1:] or ["admission", "release", "scale"]
    with (
        tempfile.TemporaryDirectory() as folder,
        Bed.start(Path(folder) / "bed", audit=True, say=print) as bed,
    ):
        _install(bed)
        for part in (admission, release, scale):
            name = part.__name__.rpartition(".")[2]
            if name in chosen:
                print(f"measuring: {name} ...", flush=True)
                figures += part.measure(bed)
    print(f"\n{table(figures)}\n\n{time.monotonic() - begun:.0f} s")
    return 0 if all(figure.holds for figure in figures) else 1


def _install(bed: Bed) -> None:
    """Rights and admission policies, as we ship them."""
    base = ROOT / "deploy" / "base"
    for arguments in (
        ("-f", base / "namespace.yaml"),
        ("-f", base / "service-account.yaml"),
        ("-f", base / "rbac.yaml"),
        ("-k", ROOT / "deploy" / "admission"),
    ):
        done = bed.kubectl("apply", *map(str, arguments))
        if done.returncode:
            raise RuntimeError(done.stderr)


sys.exit(main())
