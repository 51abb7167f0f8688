"""Release files, got from a server on loopback that plays the release sites."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from testbed import binaries as binaries_module
from testbed import download as download_module
from testbed.binaries import BinariesMissing, ensure
from testbed.cache import Cache
from testbed.download import Archive, DownloadError, Patience, download
from testbed.toolchain import ToolchainError
from testbed.versions import Platform
from testbed_tests.release_site import (
    ETCD,
    ETCD_SUMS,
    GOOD_ETCD,
    Site,
    in_drips,
    script,
    sum_of,
    sums,
    tar,
    whole,
)

LINUX = Platform("linux", "amd64")
PROMETHEUS = (
    "/github.com/prometheus/prometheus/releases/download/v3.16.0/"
    "prometheus-3.16.0.linux-amd64.tar.gz"
)
PROMETHEUS_SUMS = PROMETHEUS.rpartition("/")[0] + "/sha256sums.txt"
SCHEDULER = "/dl.k8s.io/v1.37.2/bin/linux/amd64/kube-scheduler"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    playing = Site()
    monkeypatch.setenv("PENSTOCK_MIRROR", playing.address)
    yield playing
    playing.close()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set at the end of a test, so that a server that dawdles lets its thread go."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """An empty cache on a machine with nothing on PATH, no Go, and no memory of silent sites."""

    def no_go(*_: object) -> None:
        raise ToolchainError("building was tried: no Go here")

    monkeypatch.setattr(binaries_module, "obtain", no_go)
    monkeypatch.setattr(download_module, "_silent_sites", set())
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return Cache(tmp_path / "cache", LINUX)


def silent(line: str) -> None:
    pass


def refused(cache: Cache, name: str = "etcd") -> str:
    """The message of an `ensure` that got nothing; checks that the cache holds nothing either."""
    with pytest.raises(BinariesMissing) as caught:
        ensure([name], silent, cache)
    assert "building was tried" in str(caught.value)
    assert not list(cache.root.glob("bin/*"))
    assert not list(cache.root.glob("tmp/*/*"))
    return str(caught.value)


def test_a_binary_comes_out_of_its_archive_and_is_kept(site: Site, cache: Cache):
    site.offer_etcd()
    said: list[str] = []
    path = ensure(["etcd"], said.append, cache)["etcd"]
    assert subprocess.check_output([path]) == b"etcd Version: 3.7.3\n"
    assert path.is_relative_to(cache.root / "bin")
    assert "downloaded etcd-v3.7.3-linux-amd64.tar.gz, its checksum is right" in said
    site.asked.clear()
    assert ensure(["etcd"], silent, cache) == {"etcd": path}
    assert site.asked == []


def test_one_archive_with_two_binaries_is_got_once(site: Site, cache: Cache):
    folder = "prometheus-3.16.0.linux-amd64"
    body = tar(
        **{
            f"{folder}/{name}": script(f"{name}, version 3.16.0 (branch: HEAD)")
            for name in ("prometheus", "promtool")
        }
    )
    site.answers |= {PROMETHEUS: body, PROMETHEUS_SUMS: sums(PROMETHEUS, body)}
    assert set(ensure(["prometheus", "promtool"], silent, cache)) == {"prometheus", "promtool"}
    assert site.asked.count(PROMETHEUS) == 1


def test_a_bare_binary_has_a_checksum_file_of_its_own(site: Site, cache: Cache):
    body = script("Kubernetes v1.37.2")
    site.answers |= {SCHEDULER: body, SCHEDULER + ".sha256": sum_of(body).encode()}
    path = ensure(["kube-scheduler"], silent, cache)["kube-scheduler"]
    assert path.read_bytes() == body
    assert os.access(path, os.X_OK)


def test_redirects_are_followed_as_release_sites_use_them(site: Site, cache: Cache):
    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", f"{site.address}/objects/1")
        request.send_header("Content-Length", "0")
        request.end_headers()

    site.offer_etcd(elsewhere)
    site.answers["/objects/1"] = GOOD_ETCD
    assert ensure(["etcd"], silent, cache)["etcd"].exists()


def test_a_zip_is_read_as_well(site: Site, tmp_path: Path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("folder/etcd", "content")
    site.answers["/etcd.zip"] = buffer.getvalue()
    wanted = Archive(f"{site.address}/etcd.zip", "", {"etcd": "folder/etcd"})
    files = download(wanted, sum_of(buffer.getvalue()), tmp_path, silent)
    assert files["etcd"].read_text() == "content"


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(site: Site, cache: Cache):
    tampered = tar(**{"etcd-v3.7.3-linux-amd64/etcd": script("etcd Version: 3.7.3; evil")})
    site.offer_etcd(tampered, meant=GOOD_ETCD)
    assert "is not the file that was published: refused" in refused(cache)


def test_a_file_without_published_checksum_is_not_even_asked_for(site: Site, cache: Cache):
    site.offer_etcd()
    site.answers[ETCD_SUMS] = b"<html>please sign in to this network</html>"
    assert "holds no checksum for etcd-v3.7.3-linux-amd64.tar.gz" in refused(cache)
    assert ETCD not in site.asked


def test_a_release_that_is_not_there_is_named(site: Site, cache: Cache):
    assert f"{ETCD_SUMS} is not to be had (HTTP 404)" in refused(cache)


def test_a_missing_file_of_a_release_that_is_there_is_named(site: Site, cache: Cache):
    site.answers[ETCD_SUMS] = sums(ETCD, GOOD_ETCD)
    assert f"{ETCD} is not to be had (HTTP 404)" in refused(cache)


def test_a_body_that_ends_early_is_refused(site: Site, cache: Cache):
    site.offer_etcd(whole(GOOD_ETCD[:50], length=len(GOOD_ETCD)))
    assert f"ended after 50 of {len(GOOD_ETCD)} bytes" in refused(cache)


def test_an_archive_without_the_binary_is_refused(site: Site, cache: Cache):
    body = tar(readme=b"nothing else")
    site.offer_etcd(body, meant=body)
    assert "does not hold what it should" in refused(cache)


def test_something_else_than_an_archive_is_refused(site: Site, cache: Cache):
    site.offer_etcd(b"no archive", meant=b"no archive")
    assert "does not hold what it should" in refused(cache)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (script("etcd Version: 3.5.0"), "says it is version 3.5.0"),
        (b"\x7fELF for another machine", "does not run here"),
    ],
)
def test_a_binary_that_is_not_what_was_meant_is_refused(
    site: Site, cache: Cache, program: bytes, says: str
):
    body = tar(**{"etcd-v3.7.3-linux-amd64/etcd": program})
    site.offer_etcd(body, meant=body)
    assert says in refused(cache)


def test_a_site_that_never_answers_costs_its_patience_once(
    site: Site, cache: Cache, monkeypatch: pytest.MonkeyPatch, released: threading.Event
):
    monkeypatch.setattr(download_module, "PATIENCE", Patience(answer=0.5))
    site.answers[ETCD_SUMS] = lambda _: released.wait(60) and None
    assert "cannot be reached" in refused(cache)
    assert site.asked == [ETCD_SUMS]
    refused(cache)
    assert site.asked == [ETCD_SUMS], "the second time the site is not asked again"


def test_an_absent_site_is_known_at_once(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PENSTOCK_MIRROR", f"http://127.0.0.1:{unused.getsockname()[1]}")
    begun = time.monotonic()
    assert "cannot be reached" in refused(cache)
    assert time.monotonic() - begun < 5


def test_a_site_that_stalls_in_the_middle_is_given_up(
    site: Site, cache: Cache, monkeypatch: pytest.MonkeyPatch, released: threading.Event
):
    monkeypatch.setattr(download_module, "PATIENCE", Patience(stall=0.3))
    site.offer_etcd(in_drips(GOOD_ETCD, 60, released))
    assert "timed out" in refused(cache)


def test_a_site_that_is_slower_than_building_is_given_up(
    site: Site, cache: Cache, monkeypatch: pytest.MonkeyPatch, released: threading.Event
):
    monkeypatch.setattr(download_module, "PATIENCE", Patience(slow_after=0.2))
    site.offer_etcd(in_drips(GOOD_ETCD, 0.05, released))
    assert "comes too slowly" in refused(cache)


def test_what_does_not_speak_http_is_given_up(site: Site, cache: Cache):
    site.answers[ETCD_SUMS] = lambda request: request.wfile.write(b"SSH-2.0-OpenSSH\r\n") and None
    assert "cannot be reached" in refused(cache)


def test_downloads_can_be_switched_off(site: Site, cache: Cache, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK_MIRROR", "off")
    assert "downloads are switched off (PENSTOCK_MIRROR=off)" in refused(cache)
    assert site.asked == []


def test_a_mirror_that_is_no_address_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PENSTOCK_MIRROR", "mirror.example")
    assert "mirror.example/github.com" in refused(cache)


def test_a_disk_that_fills_while_downloading_is_one_sentence(site: Site, cache: Cache):
    """A limit on file size stands in for the full disk: the kernel's refusal is as real."""
    body = tar(**{"etcd-v3.7.3-linux-amd64/etcd": os.urandom(1 << 20)})
    site.offer_etcd(body, meant=body)
    program = textwrap.dedent(f"""
        import resource
        from pathlib import Path
        from testbed.binaries import BinariesMissing, ensure
        from testbed.cache import Cache
        from testbed.versions import Platform
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            ensure(["etcd"], print, Cache(Path({str(cache.root)!r}), Platform("linux", "amd64")))
        except BinariesMissing as error:
            print(error)
    """)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    said = subprocess.check_output([sys.executable, "-c", program], env=env, text=True)
    assert f"Not enough room in {cache.root}" in said
    assert not list(cache.root.glob("bin/*"))
    assert not list(cache.root.glob("tmp/*/*"))


def test_a_download_error_is_a_sentence_about_an_address():
    with pytest.raises(DownloadError, match=r"^127\.0\.0\.1:1 cannot be reached \("):
        download(Archive("http://127.0.0.1:1/x", "", {}), "0" * 64, Path(), silent)
