"""Gets official release files and lets none through that its published checksum does not vouch for.

Owns the talk with release sites. It gives up soon: all sites are asked for their checksums at once,
and one that has not answered within five seconds counts as out of reach for the rest of this
process, since building is the other way and needs no PATIENCE. It never publishes into the cache
and never runs what it got.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import re
import tarfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from testbed.progress import Pace, Say, in_megabytes
from testbed.versions import Binary, Platform

MIRROR = "PENSTOCK_MIRROR"

_CHECKSUMS_AT_MOST = 1 << 20
_ALGORITHMS = {64: "sha256", 128: "sha512"}
_MALFORMED = (KeyError, EOFError, tarfile.TarError, zipfile.BadZipFile)


class DownloadError(Exception):
    """One sentence: what could not be had, and why."""


class SiteSilentError(DownloadError):
    """The site could not be reached at all."""


@dataclass(frozen=True)
class Patience:
    """When a site counts as absent, stuck or too slow to be worth waiting for."""

    answer: float = 5.0
    stall: float = 15.0
    slow_after: float = 20.0
    bytes_per_second: float = 100_000


@dataclass(frozen=True)
class Archive:
    """One release file and which binaries are to be taken out of it."""

    url: str
    checksums: str
    members: dict[str, str | None]

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def site(self) -> str:
        return urllib.parse.urlsplit(self.checksums).netloc


PATIENCE = Patience()

_silent_sites: set[str] = set()


def archives(binaries: Iterable[Binary], platform: Platform) -> list[Archive]:
    """The release files that hold these binaries, each file once."""
    found: dict[str, Archive] = {}
    for binary in binaries:
        if binary.release is None:
            continue
        release = binary.release.for_(binary, platform)
        archive = Archive(_mirrored(release.url), _mirrored(release.checksums), {})
        found.setdefault(release.url, archive).members[binary.name] = release.member
    return list(found.values())


def published_checksums(wanted: Iterable[Archive]) -> tuple[dict[str, str], list[str]]:
    """The checksum by address of each archive that can be had, and why others cannot."""
    if os.environ.get(MIRROR) == "off":
        return {}, [f"downloads are switched off ({MIRROR}=off)"]
    asked = [archive for archive in wanted if archive.site not in _silent_sites]
    answers = _ask_all(asked)
    known, troubles = {}, []
    for archive in asked:
        answer = answers.get(archive.url) or SiteSilentError(
            f"{archive.site} cannot be reached (no answer within {PATIENCE.answer:g} s)"
        )
        if isinstance(answer, str):
            known[archive.url] = answer
            continue
        troubles.append(str(answer))
        if isinstance(answer, SiteSilentError):
            _silent_sites.add(archive.site)
    return known, list(dict.fromkeys(troubles))


def download(archive: Archive, checksum: str, work: Path, say: Say) -> dict[str, Path]:
    """The archive's binaries as files in `work`, checked; or `DownloadError`."""
    file = work / archive.name
    digest = hashlib.new(_ALGORITHMS[len(checksum)])
    _transfer(archive.url, file, digest, say)
    if digest.hexdigest() != checksum:
        file.unlink()
        raise DownloadError(
            f"{archive.url} is not the file that was published: refused "
            f"(its checksum is {digest.hexdigest()}, published is {checksum})"
        )
    try:
        return {
            name: _extract(file, member, work / f"{name}.got") if member else file
            for name, member in archive.members.items()
        }
    except _MALFORMED as error:
        raise DownloadError(f"{archive.url} does not hold what it should: {error}") from error


def _mirrored(url: str) -> str:
    mirror = os.environ.get(MIRROR, "")
    return f"{mirror.rstrip('/')}/{url.removeprefix('https://')}" if mirror else url


def _ask_all(asked: list[Archive]) -> dict[str, str | DownloadError]:
    """In threads because the look-up of a host name knows no time-out of its own."""
    arriving: queue.SimpleQueue[tuple[str, str | DownloadError]] = queue.SimpleQueue()

    def ask(archive: Archive) -> None:
        try:
            text = _get_text(archive.checksums, PATIENCE.answer)
            arriving.put((archive.url, _checksum_in(text, archive)))
        except DownloadError as error:
            arriving.put((archive.url, error))

    for archive in asked:
        threading.Thread(target=ask, args=(archive,), daemon=True).start()
    answers: dict[str, str | DownloadError] = {}
    end = time.monotonic() + PATIENCE.answer
    while len(answers) < len(asked):
        try:
            url, answer = arriving.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        answers[url] = answer
    return answers


def _get_text(url: str, timeout: float) -> str:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            body: bytes = response.read(_CHECKSUMS_AT_MOST)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure(url, error) from error
    return body.decode(errors="replace")


def _checksum_in(text: str, archive: Archive) -> str:
    """The line for this file in a list of checksums, or the lone checksum of a file for itself."""
    for line in text.splitlines():
        digest, _, name = line.strip().partition(" ")
        names_it = name.strip().lstrip("*").removeprefix("./") == archive.name
        if (names_it or text.strip() == digest) and _is_checksum(digest):
            return digest.lower()
    raise DownloadError(f"{archive.checksums} holds no checksum for {archive.name}")


def _is_checksum(text: str) -> bool:
    return len(text) in _ALGORITHMS and re.fullmatch("[0-9a-fA-F]+", text) is not None


def _transfer(url: str, file: Path, digest: hashlib._Hash, say: Say) -> None:
    try:
        response = urllib.request.urlopen(url, timeout=PATIENCE.stall)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure(url, error) from error
    with response, file.open("wb") as output:
        total = int(response.headers.get("Content-Length") or 0)
        got, begun, intervals = 0, time.monotonic(), Pace()
        while chunk := _read_some(response, url):
            output.write(chunk)
            digest.update(chunk)
            got += len(chunk)
            elapsed = time.monotonic() - begun
            if elapsed > PATIENCE.slow_after and got < elapsed * PATIENCE.bytes_per_second:
                raise DownloadError(f"{url} comes too slowly ({got / elapsed / 1000:.0f} kB/s)")
            if intervals.due():
                say(f"downloading {file.name}, {in_megabytes(got)} of {in_megabytes(total)} ...")
    if total and got != total:
        raise DownloadError(f"{url} ended after {got} of {total} bytes")


def _read_some(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read1(1 << 18)
    except (OSError, http.client.HTTPException) as error:
        raise _failure(url, error) from error


def _failure(url: str, error: Exception) -> DownloadError:
    if isinstance(error, urllib.error.HTTPError):
        with error:
            return DownloadError(f"{url} is not to be had (HTTP {error.code})")
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    site = urllib.parse.urlsplit(url).netloc
    return SiteSilentError(f"{site or url} cannot be reached ({reason})")


def _extract(archive: Path, member: str, target: Path) -> Path:
    """Only the bytes of one named member: names inside the archive never become paths here."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped, zipped.open(member) as content:
            _copy(content, target)
        return target
    with tarfile.open(archive) as tarred:
        file = tarred.extractfile(member)
        if file is None:
            raise KeyError(f"{member} is no file")
        with file:
            _copy(file, target)
    return target


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as output:
        while chunk := source.read(1 << 20):
            output.write(chunk)
