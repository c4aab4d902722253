import ipaddress

import pytest

from mcproxy.config.addresses import TcpAddress, UnixAddress, parse_bind, parse_destination, parse_network


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:11211", TcpAddress("127.0.0.1", 11211)),
        ("127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
        ("[::1]:65535", TcpAddress("::1", 65535)),
        ("[FD00:0::5]:1", TcpAddress("fd00::5", 1)),
        ("[::ffff:127.0.0.1]:1", TcpAddress("127.0.0.1", 1)),
        ("unix:/run/a b/sock", UnixAddress("/run/a b/sock")),
    ],
)
def test_addresses_to_bind(text, address):
    assert parse_bind(text) == address


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("127.0.0.1", 'write "127.0.0.1:11211"'),
        ("::1", 'write "[::1]:11211"'),
        ("11211", "has no port"),
        ("::1:11211", 'needs brackets: "[::1]:11211"'),
        ("fd00::5:1121", 'write "[fd00::5:1121]:11211"'),
        (":11211", 'write "0.0.0.0:11211" or "[::]:11211"'),
        ("*:11211", 'write "0.0.0.0:11211" or "[::]:11211"'),
        ("localhost:11211", 'write "127.0.0.1:11211" or "[::1]:11211"'),
        ("memcached.example:11211", "write an IP address"),
        ("127.0.0.1:65536", "from 0 to 65535"),
        ("127.0.0.1:-1", "from 0 to 65535"),
        ("127.0.0.1:http", "from 0 to 65535"),
        ("127.0.0.1:", "from 0 to 65535"),
        ("127.0.0.1:٣", "from 0 to 65535"),
        ("10.0.0.256:1", '"10.0.0.256" is not an IPv4 address'),
        ("10.1:1", '"10.1" is not an IPv4 address'),
        ("[127.0.0.1]:1", "is not an IPv6 address"),
        ("[::g]:1", "is not an IPv6 address"),
        ("/run/sock", 'write "unix:/run/sock"'),
        ("unix:run/sock", "absolute path"),
        ("unix:", "absolute path"),
        ("unix:/run/", "is not the path of a socket"),
        ("unix:/" + "k" * 107, "at most 107 bytes"),
        (11211, 'write "host:port"'),
        (None, 'write "host:port"'),
    ],
)
def test_other_addresses_are_refused_with_what_would_be_right(value, hint):
    with pytest.raises(ValueError) as caught:
        parse_bind(value)
    assert hint in str(caught.value)


def test_the_longest_unix_path():
    assert parse_bind("unix:/" + "k" * 106) == UnixAddress("/" + "k" * 106)


@pytest.mark.parametrize("host", ["localhost", "memcached", "cache-1.prod.example", "10.0.0.1", "my_service"])
def test_destinations_may_be_host_names(host):
    assert parse_destination(f"{host}:11211") == TcpAddress(host, 11211)


LONGEST_LABEL = "x" * 63


@pytest.mark.parametrize("host", [LONGEST_LABEL, f"{LONGEST_LABEL}.a", ".".join([LONGEST_LABEL] * 3), "cache.example."])
def test_the_lengths_of_host_names(host):
    assert parse_destination(f"{host}:1") == TcpAddress(host, 1)


@pytest.mark.parametrize(
    "host", [LONGEST_LABEL + "x", f"a.{LONGEST_LABEL}x", f"{LONGEST_LABEL}x.a", ".".join([LONGEST_LABEL] * 4), ".", ""]
)
def test_other_lengths_are_refused(host):
    """Neither the resolver nor TLS could do anything with them."""
    with pytest.raises(ValueError):
        parse_destination(f"{host}:1")


@pytest.mark.parametrize("host", ["a" * 250 + "!", "a-" * 120 + "!", "a." * 120 + "-", "_" * 63 + "\n"])
def test_a_mistyped_host_name_takes_no_time(host):
    """A reload reads it while everybody is served: trying all the ways to divide it would take years."""
    with pytest.raises(ValueError):
        parse_destination(f"{host}:1")


@pytest.mark.parametrize("text", ["a b:1", "-x:1", "http://cache:1", "cache:0", "x" * 254 + ":1", "a..b:1"])
def test_other_destinations_are_refused(text):
    with pytest.raises(ValueError):
        parse_destination(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("localhost:1", True),
        ("unix:/x", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
        ("[::ffff:10.0.0.1]:1", False),
    ],
)
def test_what_counts_as_loopback(text, loopback):
    assert parse_destination(text).is_loopback is loopback


@pytest.mark.parametrize("text", ["10.0.0.5:1", "[fd00::5]:1", "unix:/run/sock"])
def test_addresses_are_shown_as_they_are_written(text):
    assert str(parse_bind(text)) == text


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("192.168.7.12", "192.168.7.12/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("fd00::/64", "fd00::/64"),
        ("::1", "::1/128"),
        ("::/0", "::/0"),
        ("::ffff:10.0.0.5", "10.0.0.5/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)
def test_networks(text, network):
    assert parse_network(text) == ipaddress.ip_network(network)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("10.0.0.5/24", 'write "10.0.0.0/24" for all of it or "10.0.0.5/32"'),
        ("fd00::5/64", 'write "fd00::/64" for all of it or "fd00::5/128"'),
        ("10.0.0.0/33", "is not a network"),
        ("10.0.0.0/255.255.255.0", "is not a network"),
        ("10.0.0.0/", "is not a network"),
        ("example.org", "is not a network"),
        ("fe80::1%eth0", 'leave out "%eth0"'),
        ("*", 'every address is "0.0.0.0/0" and "::/0"'),
        ("", "is not a network"),
        (10, "is not a network"),
    ],
)
def test_other_networks_are_refused_with_what_would_be_right(value, hint):
    with pytest.raises(ValueError) as caught:
        parse_network(value)
    assert hint in str(caught.value)
