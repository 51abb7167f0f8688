"""Sends GET requests to one address at a fixed rate, each on a connection of its own.

One file that needs nothing but Python and its standard library. A new connection for each request
lets a Service spread them over its pods. The rate does not depend on the answers; nothing is sent
in place of a request that could not be sent in time.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import signal
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

MOST_PER_SECOND = 200.0
MOST_UNDER_WAY = 64
ANSWER_SECONDS = 5.0


def main() -> int:
    """Exit code 0 when asked to stop, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="load", description="Sends GET at a fixed rate.")
    parser.add_argument("url", type=_http, help="such as http://checkout.shop/")
    parser.add_argument("--rate", type=_rate, default=20.0, help="requests a second")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    print(f"{options.rate:g} requests a second to {options.url}", flush=True)
    _send_forever(options.url, options.rate)
    return 0


def _http(text: str) -> str:
    if not text.startswith("http://"):
        raise argparse.ArgumentTypeError("use an address that begins with http://")
    return text


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= MOST_PER_SECOND:
        raise argparse.ArgumentTypeError(f"use more than 0 and at most {MOST_PER_SECOND:g}")
    return rate


def _send_forever(url: str, rate: float) -> None:
    free = threading.Semaphore(MOST_UNDER_WAY)
    with ThreadPoolExecutor(MOST_UNDER_WAY) as senders:
        due = time.monotonic()
        while True:
            time.sleep(max(0.0, due - time.monotonic()))
            if free.acquire(blocking=False):
                senders.submit(_send, url).add_done_callback(lambda _: free.release())
            due = max(due + 1 / rate, time.monotonic() - 1)


def _send(url: str) -> None:
    """An answer of 500 is an answer; a shop that is not there is asked again by the next."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        urllib.request.urlopen(url, timeout=ANSWER_SECONDS).close()


if __name__ == "__main__":
    sys.exit(main())
