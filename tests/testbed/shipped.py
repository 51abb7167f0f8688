"""The operator as a process, with the rights that we ship and nothing else.

The node of the test bed only says that the operator's pods are ready, so the operator runs beside
them. Owns who it is to the API server and how it is started; what is asked of it is the caller's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from testbed import identities
from testbed.bed import Bed
from testbed.child_process import ChildProcess

NAMESPACE = "penstock-system"
TESTS = Path(__file__).resolve().parents[1]
ACCOUNT = identities.ServiceAccount(NAMESPACE, "penstock")
# Run by the process itself before it becomes the operator, so that all its threads inherit it.
_PIN = "import os, sys; os.sched_setaffinity(0, [{}]); os.execv(sys.argv[1], sys.argv[1:])"


def kubeconfig(bed: Bed, path: Path, server: str = "") -> Path:
    """The shipped service account's own; `server` may be a fault proxy."""
    bearer = identities.token(bed.kube, ACCOUNT)
    return identities.token_kubeconfig(path, server or bed.server, bed.ca_file, bearer)


def start(
    kubeconfig: Path,
    log: Path,
    *,
    core: int | None = None,
    module: str = "penstock",
    **settings: str,
) -> ChildProcess:
    """`penstock run`, on one core if one is given; `module` may assemble it otherwise.

    `settings` are flags by their names with underscores; the environment's own do not count.
    """
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", module, "run", *flags]
    if core is not None:
        command = [sys.executable, "-c", _PIN.format(core), *command]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    if module != "penstock":  # one of the tests' own, which is not installed
        environment["PYTHONPATH"] = str(TESTS)
    return ChildProcess(command, log=log, env={**environment, "KUBECONFIG": str(kubeconfig)})
