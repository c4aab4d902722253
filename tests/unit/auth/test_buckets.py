"""What counts as one source. What buckets do is tested with the throttle."""

import pytest

from mcproxy.auth.buckets import Source, source_of


@pytest.mark.parametrize(
    ("source", "counted"),
    [
        ("10.0.0.1", Source("10.0.0.1")),
        ("127.0.0.1", Source("127.0.0.0/8")),
        ("127.255.3.2", Source("127.0.0.0/8")),
        ("::ffff:127.9.9.9", Source("127.0.0.0/8")),
        ("::ffff:10.0.0.1", Source("10.0.0.1")),
        ("2001:db8:0:1::1", Source("2001:db8:0:1::/64", "2001:db8::/48")),
        ("2001:db8:0:1:ffff::2", Source("2001:db8:0:1::/64", "2001:db8::/48")),
        ("2001:db8:0:2::1", Source("2001:db8:0:2::/64", "2001:db8::/48")),
        ("2001:db8:1:2::1", Source("2001:db8:1:2::/64", "2001:db8:1::/48")),
        ("fe80::1%eth0", Source("fe80::/64", "fe80::/48")),
        ("::1", Source("::/64", "::/48")),
        ("unix:1000", Source("unix:1000")),
        ("", Source("")),
    ],
)
def test_what_counts_as_one_source(source, counted):
    assert source_of(source) == counted
