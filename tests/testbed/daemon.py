"""The process behind `make cluster-up`: starts a bed, stays with it, and ends it.

Owns the bed of one folder for as long as it lives; all servers are tethered to it. It is started by
`testbed.cluster`, detached from any terminal, with the folder's claim already taken. Until the bed
is ready it lives and dies with its starter, whose end it notices by the end of its input; after
that it stays until it is told to end, or until a server ends by itself.

A bed of a test run has an owner as well, the process that leads the run: it ends with that one.

What it tells its starter goes through its output, one JSON object a line: `say`, `ready`, `failed`.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from testbed.bed import Bed
from testbed.binaries import BinariesMissing
from testbed.cache import CacheError
from testbed.lockfile import Lockfile, Record, birth
from testbed.servers import BedError

ENV = "env"
BED = "bed"
"""The folder of the bed itself in the folder of the claim."""

_CHECK_SECONDS = 0.5


class AskedToEnd(BaseException):
    """Like KeyboardInterrupt, so that nothing on the way takes it for an error to be handled."""


class Daemon:
    """One bed, from its start to its end."""

    def __init__(self, lockfile: Lockfile, *, audit: bool, owner: int = 0) -> None:
        """`owner` is the process whose end is the bed's end; 0: nobody's."""
        self._lockfile = lockfile
        self._audit = audit
        self._owner, self._owner_birth = owner, birth(owner) if owner else None
        self._record = Record.of_this_process()
        self._asked = False
        self._ending = False

    def run(self) -> int:
        """Exit code 0 when asked to end, 1 when the bed could not be started or broke."""
        try:
            self._listen()  # whoever is heard may strike before this returns
            return self._keep()
        except AskedToEnd:
            self._end()
            return 0

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._end_with_starter, daemon=True).start()

    def _keep(self) -> int:
        try:
            self._record.save(self._lockfile.folder)
            with Bed.start(self._lockfile.folder / BED, audit=self._audit, say=self._say) as bed:
                self._announce(bed)
                self._stay(bed)
        except (BedError, BinariesMissing, CacheError, OSError) as error:
            return self._fail(error)
        self._end()
        return 0

    def _announce(self, bed: Bed) -> None:
        (self._lockfile.folder / ENV).write_text(exports(bed.env))
        self._record.env = bed.env
        self._record.ready = True
        self._record.save(self._lockfile.folder)
        _tell("ready", "")
        _detach_streams(bed.folder / "logs" / "keeper.log")

    def _stay(self, bed: Bed) -> None:
        while not self._asked and self._is_owned():
            bed.must_run()
            time.sleep(_CHECK_SECONDS)

    def _is_owned(self) -> bool:
        if not self._owner:
            return True
        return self._owner_birth is not None and birth(self._owner) == self._owner_birth

    def _fail(self, error: Exception) -> int:
        """A start that failed leaves nothing; a bed that broke leaves its logs and the reason."""
        self._ending = True
        if not self._record.ready:
            self._lockfile.remove()
            _tell("failed", in_a_sentence(error))
        else:
            self._record.trouble = in_a_sentence(error)
            self._record.save(self._lockfile.folder)
        return 1

    def _end(self) -> None:
        self._ending = True
        self._lockfile.remove()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not (self._asked or self._ending):
            self._asked = True
            raise AskedToEnd

    def _say(self, line: str) -> None:
        if self._asked:  # an exception that strikes inside a destructor is lost
            raise AskedToEnd
        _tell("say", line)

    def _end_with_starter(self) -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        if not self._record.ready:
            os.kill(os.getpid(), signal.SIGTERM)


def exports(env: dict[str, str]) -> str:
    """The environment as lines for a shell; those that people copy are the last."""
    bin_folder = env["PATH"].split(os.pathsep)[0]
    lines = [f'export PATH={shlex.quote(bin_folder)}:"$PATH"']
    lines += [
        f"export {name}={shlex.quote(env[name])}"
        for name in ("KUBECACHEDIR", "KUBECONFIG", "PROMETHEUS_URL")
        if name in env
    ]
    return "\n".join(lines) + "\n"


def in_a_sentence(error: Exception) -> str:
    """What went wrong, for people; errors of ours are sentences already."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = " Free some space or use another folder." if full else ""
        return f"{where}{error.strerror or error}.{remedy}"
    return str(error)


def _tell(what: str, text: str) -> None:
    """The starter may be gone; then its end is what counts, and the input will tell of it."""
    try:
        os.write(sys.stdout.fileno(), json.dumps({what: text}).encode() + b"\n")
    except OSError:
        return


def _detach_streams(log: Path) -> None:
    """Let go of the starter's terminal and pipes, or whoever reads them would wait forever."""
    null = os.open(os.devnull, os.O_RDWR)
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, sys.stdout.fileno())
    os.dup2(errors, sys.stderr.fileno())
    os.close(null)
    os.close(errors)
