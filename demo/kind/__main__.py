"""`python -m demo.kind up|down`: a kind cluster to try Penstock on, and its end.

Exit codes: 0 done, 1 could not be done (one sentence says why), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys

from demo.kind.cluster import KindCluster, KindError

NEXT = """
It has Prometheus and the operator's image. Next:
  . {env}
  kubectl apply -k deploy/base
  make kind-down     # ends it
"""


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m demo.kind", description="A kind cluster.")
    parser.add_argument("command", choices=("up", "down"))
    cluster = KindCluster("dev")
    try:
        match parser.parse_args().command:
            case "up":
                cluster.up()
                sys.stdout.write(NEXT.format(env=cluster.env_file))
            case "down":
                cluster.down()
    except KindError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; `make kind-down` ends what was started\n")
        return 130
    return 0


sys.exit(main())
