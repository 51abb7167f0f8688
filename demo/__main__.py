"""`python -m demo up|down|keep`: the demonstration's command line.

Exit codes: 0 every step was seen to happen, 1 one was not (its sentence says what was seen), 2
wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Run one command."""
    options = _parser().parse_args()
    try:
        return _run(options)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; `make demo-down` ends what was started\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Penstock's story.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--dir", type=Path, help="its folder; default: .demo of this clone")
    up = commands.add_parser("up", parents=[where], help="start everything and tell the story")
    up.add_argument("--kind", action="store_true", help="on a kind cluster, from the image")
    commands.add_parser("down", parents=[where], help="end just what `up` started")
    keep = commands.add_parser("keep", parents=[where], help="what `up` runs behind it")
    keep.add_argument("--claim", type=int, required=True, help="descriptor of the held lock")
    return parser


def _run(options: argparse.Namespace) -> int:
    from demo.bed_stage import FOLDER, BedStage
    from demo.kind.cluster import KindCluster, KindError
    from demo.kind.stage import KindStage
    from demo.processes import Processes
    from demo.scenario import StoryError, tell
    from testbed import cluster
    from testbed.binaries import BinariesMissing
    from testbed.cache import CacheError
    from testbed.daemon import in_a_sentence
    from testbed.lockfile import Lockfile
    from testbed.servers import BedError

    folder, in_kind = (options.dir or FOLDER).resolve(), KindCluster("demo")
    try:
        match options.command:
            case "up":
                tell(KindStage(in_kind) if options.kind else BedStage(folder))
            case "down":
                if in_kind.is_ours:
                    in_kind.down()
                if folder.exists() or not in_kind.is_ours:
                    cluster.down(folder)
            case "keep":
                return Processes(Lockfile(folder, options.claim), audit=False).run()
    except StoryError as error:
        sys.stderr.write(f"\nNOT SEEN: {error}\n")
        return 1
    except (BedError, BinariesMissing, CacheError, KindError, OSError) as error:
        sys.stderr.write(f"{in_a_sentence(error)}\n")
        return 1
    return 0


sys.exit(main())
