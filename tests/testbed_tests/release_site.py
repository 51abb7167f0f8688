"""A server on loopback that plays the release sites, and what it may hand out."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ETCD = "/github.com/etcd-io/etcd/releases/download/v3.7.3/etcd-v3.7.3-linux-amd64.tar.gz"
ETCD_SUMS = ETCD.rpartition("/")[0] + "/SHA256SUMS"

Answer = Callable[[BaseHTTPRequestHandler], None]


def script(says: str) -> bytes:
    return f"#!/bin/sh\necho '{says}'\n".encode()


def tar(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sum_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def sums(path: str, body: bytes) -> bytes:
    name = path.rpartition("/")[2]
    return f"{'0' * 64}  another-file.zip\n{sum_of(body)}  {name}\n".encode()


GOOD_ETCD = tar(**{"etcd-v3.7.3-linux-amd64/etcd": script("etcd Version: 3.7.3")})


class Site:
    """Plays every release site: what it answers to a path is a body or a function."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                answer = site.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                elif callable(answer):
                    answer(self)
                else:
                    whole(answer)(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def offer_etcd(self, body: bytes | Answer | None = None, meant: bytes | None = None) -> None:
        self.answers |= {ETCD: body or GOOD_ETCD, ETCD_SUMS: sums(ETCD, meant or GOOD_ETCD)}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def whole(body: bytes, length: int | None = None) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)

    return answer


def in_drips(body: bytes, pause: float, released: threading.Event) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        for byte in body:
            if released.wait(pause):
                return
            try:
                request.wfile.write(bytes([byte]))
                request.wfile.flush()
            except OSError:
                return

    return answer
