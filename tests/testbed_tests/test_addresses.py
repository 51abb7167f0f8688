"""Addresses of pods that are run: of this machine alone, and never in use twice."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from testbed.addresses import LOOPBACK, Addresses, NoAddress
from testbed.bed import TESTS


@pytest.fixture
def addresses() -> Iterator[Addresses]:
    given = Addresses()
    yield given
    given.close()


def test_no_address_is_given_twice_while_it_is_in_use(addresses: Addresses) -> None:
    given = [addresses.take([8080]) for _ in range(300)]
    assert len(set(given)) == 300
    assert all(ipaddress.ip_address(address) in LOOPBACK for address in given)
    assert not {"127.0.0.1", "127.0.0.53"} & set(given)


def test_an_address_given_back_is_not_the_next_to_be_given(addresses: Addresses) -> None:
    first = addresses.take([8080])
    addresses.release(first)
    assert addresses.take([8080]) != first


def test_a_pod_gets_the_address_it_had_unless_that_is_in_use(addresses: Addresses) -> None:
    had = addresses.take([8080])
    addresses.release(had)
    assert addresses.take([8080], had) == had
    assert addresses.take([8080], had) != had


def test_an_address_is_passed_over_when_a_port_is_taken_there(addresses: Addresses) -> None:
    with socket.create_server((addresses.take([]), 0)) as somebody:
        address, port = somebody.getsockname()
        addresses.release(address)
        assert addresses.take([port], address) != address
        assert addresses.take([port + 1 if port < 65535 else port - 1], address) == address


def test_a_port_taken_on_all_addresses_is_said(addresses: Addresses) -> None:
    with socket.create_server(("0.0.0.0", 0)) as somebody:
        port = somebody.getsockname()[1]
        with pytest.raises(NoAddress, match=f"port {port} is taken .* end that server or give"):
            addresses.take([port])


def test_two_node_processes_never_share_addresses(addresses: Addresses) -> None:
    code = (
        "from testbed.addresses import Addresses\n"
        "given = [Addresses() for _ in range(100)]\n"
        "print(*(one.take([]).rsplit('.', 2)[0] for one in given))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    others = done.stdout.split()
    assert len(set(others)) == 100
    assert addresses.take([]).rsplit(".", 2)[0] not in others
