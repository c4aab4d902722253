"""Source addresses: case 45."""

import time
from ipaddress import ip_network

import pytest

from mcproxy.policy.allowlist import AddressTable, Allowlist


def allowlist(*networks):
    return Allowlist(ip_network(network) for network in networks)


@pytest.mark.parametrize(
    ("networks", "admitted", "refused"),
    [
        ([], [], ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"]),
        (["127.0.0.1"], ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1"], ["127.0.0.2", "::1", "::127.0.0.1"]),
        (["10.0.0.0/24"], ["10.0.0.0", "10.0.0.255", "::ffff:10.0.0.7"], ["10.0.1.0", "9.255.255.255"]),
        (["::ffff:10.0.0.0/120"], ["10.0.0.0", "10.0.0.255", "::ffff:10.0.0.7"], ["10.0.1.0", "::10.0.0.1"]),
        (["::ffff:0:0/96"], ["1.2.3.4", "::ffff:1.2.3.4"], ["::1", "2001:db8::1"]),
        (["0.0.0.0/0"], ["1.2.3.4", "255.255.255.255", "::ffff:1.2.3.4"], ["::1", "2001:db8::1"]),
        (["::/0"], ["::1", "2001:db8::1", "fe80::1%eth0"], ["1.2.3.4", "::ffff:1.2.3.4"]),
        (["::/64"], ["::1"], ["::ffff:1.2.3.4", "1.2.3.4"]),
        (["2001:db8::1/128"], ["2001:db8::1", "2001:DB8:0::0:1"], ["2001:db8::2", "2001:db8::"]),
        (["2001:db8::/127"], ["2001:db8::", "2001:db8::1"], ["2001:db8::2"]),
        (["fe80::/10"], ["fe80::1%eth0", "fe80::1"], ["fec0::1%eth0"]),
        (["10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32"], ["10.1.1.1", "10.1.1.2", "10.200.0.0"], ["11.1.1.1"]),
        (["10.1.1.1/32", "10.1.1.1", "::ffff:10.1.1.1"], ["10.1.1.1"], ["10.1.1.0", "10.1.1.2"]),
    ],
)
def test_who_is_admitted(networks, admitted, refused):
    allowed = allowlist(*networks)
    assert [address for address in admitted + refused if allowed.admits(address)] == admitted


@pytest.mark.parametrize(
    "address", ["", "localhost", "10.0.0", "10.0.0.1 ", "10.0.0.01", "0x7f.1", "1", "::1%", "10.0.0.1%eth0", "/run/x"]
)
def test_what_is_no_address_is_refused(address):
    assert not allowlist("0.0.0.0/0", "::/0").admits(address)


def test_the_most_specific_network_wins():
    table = AddressTable(
        {
            ip_network("0.0.0.0/0"): "anybody",
            ip_network("10.0.0.0/8"): "office",
            ip_network("::ffff:10.1.0.0/112"): "floor",
            ip_network("10.1.0.7/32"): "desk",
            ip_network("2001:db8::/32"): "office six",
            ip_network("2001:db8::7/128"): "desk six",
        }
    )
    found = {
        "10.1.0.7": "desk",
        "::ffff:10.1.0.7": "desk",
        "10.1.0.8": "floor",
        "10.2.0.0": "office",
        "11.0.0.0": "anybody",
        "2001:db8::7": "desk six",
        "2001:db8::8": "office six",
        "2001:db9::8": None,
        "nonsense": None,
    }
    assert {address: table.most_specific(address) for address in found} == found


def test_one_network_cannot_mean_two_things():
    with pytest.raises(ValueError, match="twice"):
        AddressTable({ip_network("10.0.0.0/8"): "one", ip_network("::ffff:10.0.0.0/104"): "other"})
    AddressTable([(ip_network("10.0.0.0/8"), "one"), (ip_network("10.0.0.0/8"), "one")])


@pytest.mark.parametrize("version", [4, 6])
def test_against_the_standard_library(version):
    """Every prefix length, and the addresses at and around both ends of each network."""
    width = 32 if version == 4 else 128
    start = int(ip_network("10.85.170.204/32" if version == 4 else "2001:db8:5555:aaaa:cccc::1/128").network_address)
    constructor = type(ip_network("0.0.0.0/0" if version == 4 else "::/0"))
    for length in range(width + 1):
        network = constructor((start >> (width - length) << (width - length), length))
        allowed = Allowlist([network])
        for number in (int(network[0]) - 1, int(network[0]), start, int(network[-1]), int(network[-1]) + 1):
            if 0 <= number < 2**width:
                address = constructor((number, width))[0]
                assert allowed.admits(str(address)) is (address in network), f"{address} in {network}"


def test_a_hundred_thousand_networks_take_as_long_as_ten():
    """By counting: the lookups of a large list touch as many tables as those of a small one."""
    few = allowlist(*(f"10.0.{number}.0/24" for number in range(10)))
    many = Allowlist(ip_network(((10 << 24) + (number << 8), 24)) for number in range(50_000))
    more = Allowlist(ip_network((number << 8, 24)) for number in range(100_000))
    assert many.admits("10.195.79.1")
    assert not many.admits("10.195.80.1")

    def seconds(allowed):
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(2000):
                allowed.admits("10.0.200.1")
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(more) < 5 * seconds(few), "a list that is walked would take ten thousand times as long"
