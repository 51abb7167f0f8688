"""What only a real scrape makes: stale markers of a target that is gone, counters being born."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.domain.evidence import EvidenceKind
from support.history import prometheus
from support.indicators import ratio
from support.measuring import Meter, slo, source

pytestmark = [pytest.mark.servers, pytest.mark.slow]

PATIENCE = 60
LOOKS = ["10s"]


class Shop:
    """Counters of an application, at an address that is scraped each second."""

    def __init__(self) -> None:
        self.requests = 0
        self.errors: int | None = None
        shop = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shop.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def text(self) -> str:
        self.requests += 10
        lines = [f'shop_total{{code="200"}} {self.requests}']
        if self.errors is not None:
            self.errors += 5
            lines.append(f'shop_total{{code="500"}} {self.errors}')
        return "\n".join(["# TYPE shop_total counter", *lines, ""])

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


@pytest.fixture
def url(shop: Shop, tmp_path) -> Iterator[str]:
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{shop.port}"]}]}
        ],
    }
    with prometheus(tmp_path, config=config) as url:
        yield url


def now() -> datetime:
    return datetime.now(UTC)


def test_from_birth_to_burn_to_a_target_that_is_gone(shop, url):
    where = source(url, freshness="5s")
    of = slo("shop", ratio('shop_total{code="500"}', "shop_total"), window="1m")
    with Meter() as meter:

        def wait_for(kind: EvidenceKind, bad: bool = False) -> list[EvidenceKind]:
            seen: list[EvidenceKind] = []
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                evidence = meter.one(where, of, now(), LOOKS)
                seen.append(evidence.kind)
                has_bad = evidence.reading is not None and evidence.reading.window_counts.bad > 0
                if evidence.kind is kind and has_bad is bad:
                    return seen
                time.sleep(0.2)
            raise AssertionError(f"no {kind} after {seen}")

        assert set(wait_for(EvidenceKind.FRESH)) <= {EvidenceKind.ABSENT, EvidenceKind.FRESH}
        shop.errors = 0
        assert set(wait_for(EvidenceKind.FRESH, bad=True)) == {EvidenceKind.FRESH}
        shop.close()
        gone = now()
        # Stale markers hide the series at once; its last samples are evidence until they are old.
        assert set(wait_for(EvidenceKind.STALE)) <= {EvidenceKind.FRESH, EvidenceKind.STALE}
        assert now() - gone > timedelta(seconds=3)
