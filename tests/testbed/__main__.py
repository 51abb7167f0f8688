"""The test bed's command line: `python -m testbed up|down|env|doctor|fetch`.

Owns arguments and exit codes: 0 done, 1 could not be done (one sentence says why), 2 wrong usage,
130 interrupted. Everything else is imported only once ctrl-C is being watched for, because imports
are most of what a short command does, and an interruption in one would show a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: nothing half-made was left\n")
        sys.stderr.flush()
        os._exit(130)  # Python forgets now and then that the interruption was handled


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testbed",
        description="A real Kubernetes control plane, nodes and Prometheus on 127.0.0.1.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("--dir", type=Path, help="its folder; default: .cluster of this clone")
    audit = argparse.ArgumentParser(add_help=False)
    audit.add_argument(
        "--audit", action="store_true", help="log what service accounts ask for, allowed or not"
    )
    commands.add_parser("up", parents=[folder, audit], help="start it, or find it running")
    commands.add_parser("down", parents=[folder], help="end just what `up` started")
    commands.add_parser("env", parents=[folder], help="print what to export")
    commands.add_parser("doctor", help="what is found, what is missing, how to get it")
    fetch = commands.add_parser("fetch", help="find, download or build the servers")
    fetch.add_argument("names", nargs="*", help="default: all that the test bed itself needs")
    keep = commands.add_parser("keep", parents=[folder, audit], help="what `up` runs behind it")
    keep.add_argument("--claim", type=int, required=True, help="descriptor of the held lock")
    keep.add_argument("--owner", type=int, default=0, help="process with whose end it ends")
    return parser


def _run(options: argparse.Namespace) -> int:
    from testbed import cluster, doctor
    from testbed.binaries import BinariesMissing
    from testbed.cache import CacheError
    from testbed.daemon import Daemon, in_a_sentence
    from testbed.lockfile import Lockfile
    from testbed.servers import BedError

    folder = (getattr(options, "dir", None) or cluster.FOLDER).resolve()
    try:
        match options.command:
            case "up":
                cluster.up(folder, audit=options.audit)
            case "down":
                cluster.down(folder)
            case "env":
                cluster.env(folder)
            case "doctor":
                return doctor.main()
            case "fetch":
                return _fetch(options.names)
            case "keep":
                lockfile = Lockfile(folder, options.claim)
                return Daemon(lockfile, audit=options.audit, owner=options.owner).run()
    except (BedError, BinariesMissing, CacheError, OSError) as error:
        sys.stderr.write(f"{in_a_sentence(error)}\n")
        return 1
    return 0


def _fetch(names: Sequence[str]) -> int:
    from testbed.binaries import ensure
    from testbed.versions import BINARIES, SERVERS

    unknown = [name for name in names if name not in BINARIES]
    if unknown:
        sys.stderr.write(f"unknown: {', '.join(unknown)}; known are {', '.join(BINARIES)}\n")
        return 2
    for name, path in ensure(names or SERVERS).items():
        print(f"{name}: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
