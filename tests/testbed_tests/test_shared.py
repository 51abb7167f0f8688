"""The workers of a parallel run share one bed, which ends with the run, however that ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from testbed.bed import TESTS
from testbed.pki import Pki
from testbed_tests.processes import until
from testbed_tests.traces import needs_proc, processes_of

# Each test runs in a process of its own, and none ends before the other has begun.
USES_THE_BED = """
import os, pathlib, pytest, time

HERE = pathlib.Path(__file__).parent

@pytest.mark.servers
@pytest.mark.parametrize("number", range(2))
def test_it(bed, namespace, number):
    assert namespace in bed.kubectl("get", "namespaces", "-o", "name").stdout
    bed.pki.issue("mine", f"worker-{number}")
    (HERE / f"seen-{number}.new").write_text(f"{bed.server} {bed.prometheus_url} {bed.folder}")
    (HERE / f"seen-{number}.new").rename(HERE / f"seen-{number}")
    while len(list(HERE.glob("seen-?"))) < 2 or (HERE / "stay").exists():
        time.sleep(0.05)
"""

pytestmark = [pytest.mark.servers, pytest.mark.slow, needs_proc]


@contextmanager
def run(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Two workers, each with a test on the bed."""
    (folder / "test_it.py").write_text(USES_THE_BED)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = servers\n")
    command = [sys.executable, "-m", "pytest", "-p", "testbed.plugin", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, "--numprocesses=2", "--dist=load", "-v", folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def seen(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("seen-?"))]


def test_all_workers_have_the_same_bed_and_its_end_is_the_runs_end(tmp_path: Path) -> None:
    with run(tmp_path) as running:
        output, _ = running.communicate(timeout=200)
    assert running.returncode == 0, output
    assert "2 passed" in output
    (one,) = set(seen(tmp_path))
    bed = Path(one.split()[2])
    assert len(set(re.findall(r"\[(gw\d)\]", output))) == 2
    assert not processes_of(bed)
    assert not bed.parents[1].exists()


def test_it_ends_also_with_a_run_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "stay").touch()
    with run(tmp_path) as running:
        assert until(lambda: len(seen(tmp_path)) == 2, seconds=150)
        bed = Path(seen(tmp_path)[0].split()[2])
        assert processes_of(bed)
        os.kill(running.pid, signal.SIGKILL)
        assert until(lambda: not processes_of(bed), seconds=60)
        assert until(lambda: not bed.parent.exists(), seconds=60)


def test_certificates_of_a_worker_are_signed_by_the_same_authority(tmp_path: Path) -> None:
    first = Pki(tmp_path / "one")
    second = Pki(tmp_path / "two", authority=first.folder)
    assert second.ca_file.read_bytes() == first.ca_file.read_bytes()
    second.issue("worker", "worker")
    assert not (first.folder / "worker.crt").exists()
    certificate = x509.load_pem_x509_certificate((second.folder / "worker.crt").read_bytes())
    authority = x509.load_pem_x509_certificate(first.ca_file.read_bytes())
    certificate.verify_directly_issued_by(authority)
