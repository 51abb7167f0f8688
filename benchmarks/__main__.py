"""`make bench`: the figures that we promise, each with its bar; exit code 1 when one is missed."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks import admission, release, scale, situations, world
from benchmarks.apart import namespace
from benchmarks.figures import table
from benchmarks.gate import latency, replay
from benchmarks.month import report as month
from testbed.bed import Bed

ROOT = Path(__file__).parents[1]
ON_A_BED = {
    "admission": (admission.NAMESPACE, admission.measure),
    "release": (release.NAMESPACE, release.measure),
    "scale": (world.NAMESPACE, scale.measure),
}
BY_THEMSELVES = {
    "situations": situations,
    "latency": latency,
    "replay": replay,
    "month": month,
}


def main() -> int:
    """Measure what was chosen, or everything; a bed is started if one of them needs it."""
    begun, figures = time.monotonic(), []
    chosen = sys.argv[1:] or [*ON_A_BED, *BY_THEMSELVES]
    unknown = set(chosen) - {*ON_A_BED, *BY_THEMSELVES}
    if unknown:
        raise SystemExit(f"no such benchmark: {', '.join(sorted(unknown))}")
    on_a_bed = [name for name in ON_A_BED if name in chosen]
    if on_a_bed:
        with (
            tempfile.TemporaryDirectory() as folder,
            Bed.start(Path(folder) / "bed", audit=True, say=print) as bed,
        ):
            _install(bed)
            for name in on_a_bed:
                print(f"measuring: {name} ...", flush=True)
                own, measure = ON_A_BED[name]
                with namespace(bed.kube, own):
                    figures += measure(bed)
    for name in BY_THEMSELVES:
        if name in chosen:
            print(f"measuring: {name} ...", flush=True)
            figures += BY_THEMSELVES[name].measure()
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
