"""Addresses of this machine alone, 127.0.0.0/8: one for each pod that is run as a process.

Owns the promise that no address is in use twice: within a node, and between nodes of several test
beds on one machine, because each claims a /16 of its own by holding a socket that ends with its
process. It refuses to name any address outside of 127.0.0.0/8: nothing in the test bed may send to
the made-up addresses of pods that are not run.
"""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
import threading
from collections.abc import Collection, Iterable

LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")

_CLAIM_PORT = 20127
"""Whoever has this port on the last address of a /16 owns that /16; below the ports that the
kernel gives to anybody who asks for any."""

_ALIASES = ipaddress.IPv4Network("127.0.0.0/27")
"""What a person adds by hand where only 127.0.0.1 exists; ends before 127.0.0.53, a resolver's."""


class NoAddress(Exception):
    """No address can be had; says why and what to do."""


def loopback(address: str) -> str:
    """Return the address if it is one of this machine alone, raise `ValueError` if not."""
    try:
        if ipaddress.IPv4Address(address) in LOOPBACK:
            return address
    except ValueError:
        pass
    raise ValueError(f"{address!r} is refused: the test bed sends to addresses in {LOOPBACK} only")


class Addresses:
    """The loopback addresses that one node process gives to its pods."""

    def __init__(self) -> None:
        self._claim, self._network = _claim_network()
        self._size = self._network.num_addresses - 4  # without both ends, 127.0.0.1 and the claim
        self._next = random.randrange(self._size)
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def take(self, ports: Collection[int], wish: str | None = None) -> str:
        """Give an address on which all ports are free; `wish` first, if it can be had."""
        with self._lock:
            for address in self._candidates(wish):
                if all(_is_free(address, port) for port in ports):
                    self._taken.add(address)
                    return address
        raise NoAddress(self._why_none(ports))

    def release(self, address: str) -> None:
        """The pod of this address has ended."""
        with self._lock:
            self._taken.discard(address)

    def close(self) -> None:
        """Give up the /16."""
        if self._claim:
            self._claim.close()

    def _candidates(self, wish: str | None, most: int = 100) -> Iterable[str]:
        if wish and wish not in self._taken and ipaddress.IPv4Address(wish) in LOOPBACK:
            yield wish
        for _ in range(min(most, self._size)):
            address = self._address(self._next)
            # Going on instead of beginning again: an address just left is the last to be reused.
            self._next = (self._next + 1) % self._size
            if address not in self._taken:
                yield address

    def _address(self, number: int) -> str:
        return str(self._network[number + 2])

    def _why_none(self, ports: Collection[int]) -> str:
        address = self._address(0)
        if not _exists(address):
            return (
                "this machine has no loopback address but 127.0.0.1: add some, "
                f"on macOS for instance by `sudo ifconfig lo0 alias {address}`"
            )
        taken = [port for port in ports if not _is_free(address, port)]
        return (
            f"port {', '.join(map(str, taken or ports))} is taken on every loopback address, so by "
            "a server that listens on 0.0.0.0: end that server or give the container another port"
        )


def _claim_network() -> tuple[socket.socket | None, ipaddress.IPv4Network]:
    for second in random.sample(range(1, 255), 254):
        network = ipaddress.IPv4Network(f"127.{second}.0.0/16")
        claim = socket.socket()
        try:
            claim.bind((str(network[-2]), _CLAIM_PORT))
        except OSError as error:
            claim.close()
            if error.errno == errno.EADDRNOTAVAIL:
                break
        else:
            return claim, network
    return None, _ALIASES


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError:
            return False
        return True


def _exists(address: str) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
        return True
