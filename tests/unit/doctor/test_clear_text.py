"""Whether a password crosses the network in clear text: to upstreams, and where a balancer is on this machine."""

import pytest

from mcproxy.doctor.served import clear_passwords
from tests.unit.doctor.examining import deployment, told

FILE = {"password_file": "/nonexistent/password", "username": "app"}
PLAIN = {"method": "sasl", "mechanism": "PLAIN", **FILE}
SCRAM = {"method": "sasl", "mechanism": "SCRAM-SHA-256", **FILE}
TOKEN = {"method": "token", **FILE}
BY_TEXT = {"protocols": ["text"]}


async def about_upstream(address: str, **more: object) -> tuple[str, str]:
    # A listener by TLS alone, at which nothing is asked.
    tls = {"certificate": "/nonexistent/crt", "key": "/nonexistent/key"}
    settings = {"address": address, "plaintext_passwords": True, **more}
    return told(await clear_passwords(deployment({"tls": tls, "plaintext": False, **BY_TEXT}, upstream=settings)))[-1]


@pytest.mark.parametrize(("login", "how"), [(PLAIN, "PLAIN"), (TOKEN, "token")])
async def test_a_password_to_another_machine(login, how):
    seen = f"the password for 10.9.9.9:11211 crosses the network in clear text ({how})"
    assert await about_upstream("10.9.9.9:11211", plaintext=True, login=login) == ("finding", seen)


async def test_a_name_that_may_be_anybodys():
    verdict, _ = await about_upstream("cache.invalid:11211", plaintext=True, login=PLAIN)
    assert verdict == "finding"


@pytest.mark.parametrize("more", [{}, {"login": SCRAM}])
async def test_values_to_another_machine_are_worth_a_note(more):
    assert (await about_upstream("10.9.9.9:11211", plaintext=True, **more))[0] == "note"


@pytest.mark.parametrize(
    ("address", "more"),
    [
        ("10.9.9.9:11211", {"tls": {"ca": "/nonexistent/ca"}}),
        ("127.0.0.1:11211", {}),
        ("10.0.0.5:11211", {"plaintext": True}),  # this machine's own
        ("unix:/run/memcached/memcached.sock", {}),
    ],
)
async def test_a_password_that_does_not_cross_the_network(address, more):
    assert (await about_upstream(address, login=PLAIN, **more))[0] == "ok"


@pytest.mark.parametrize(
    ("authentication", "mechanisms", "verdict"),
    [
        (["sasl", "token"], ["SCRAM-SHA-256", "PLAIN"], "note"),
        (["sasl"], ["PLAIN"], "note"),
        (["sasl"], ["SCRAM-SHA-256"], "ok"),
    ],
)
async def test_what_comes_by_a_balancer_of_this_machine(authentication, mechanisms, verdict):
    """Whether the balancer speaks TLS can't be seen from here."""
    listener = {"bind": ["127.0.0.1:11212"], "authentication": authentication, "mechanisms": mechanisms}
    results = await clear_passwords(deployment({**listener, "proxy_protocol": ["127.0.0.1/32"], "plaintext": False}))
    assert told(results)[0][0] == verdict
    without = await clear_passwords(deployment({**listener, "plaintext": False}))
    assert told(without)[0] == ("ok", "passwords come by loopback or a unix socket alone")
