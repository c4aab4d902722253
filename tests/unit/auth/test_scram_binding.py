"""Channel binding: what the client claims to have seen, and the certificate that it is bound to (case 38)."""

import pytest

from mcproxy.auth.mechanisms import Failure

from .scram_peer import BINDING, PLUS, begin, c, client, exchange, prove

BOUND = b"p=tls-server-end-point,,"


@pytest.mark.parametrize(
    ("name", "plus_offered", "header", "data"),
    [
        ("SCRAM-SHA-256", True, b"y,,", b""),
        ("SCRAM-SHA-256", True, BOUND, BINDING),
        ("SCRAM-SHA-256", False, BOUND, BINDING),
        (PLUS, True, b"n,,", b""),
        (PLUS, True, b"y,,", b""),
        (PLUS, True, b"p=tls-unique,,", BINDING),
        (PLUS, True, b"p=tls-exporter,,", BINDING),
        (PLUS, True, b"p=TLS-SERVER-END-POINT,,", BINDING),
        (PLUS, True, BOUND, b""),
        (PLUS, True, BOUND, BINDING[:-1]),
        (PLUS, True, BOUND, b"another certificate"),
        (PLUS, True, BOUND, BINDING + b"x"),
    ],
)
def test_channel_binding_that_is_refused(name, plus_offered, header, data):
    assert isinstance(prove(header, c(header + data) + b",r=NONCE", name, plus_offered=plus_offered), Failure)


@pytest.mark.parametrize(("plus_offered", "header"), [(True, b"n,,"), (False, b"y,,"), (False, b"n,,")])
def test_clients_without_channel_binding(plus_offered, header):
    assert prove(header, c(header) + b",r=NONCE", plus_offered=plus_offered).secret


def test_a_client_bound_to_another_certificate():
    assert isinstance(exchange(begin(PLUS), client(PLUS, binding=b"of another")), Failure)
