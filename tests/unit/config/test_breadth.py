"""Notes about what lets in more, or fewer, than is meant."""

from typing import Any

import pytest

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.config.breadth import allow_notes, grant_notes, login_notes
from mcproxy.config.schema import Settings

from .building import changed, problems_after, settings_of

USERS = Users([("sammy", make_verifier("secret", 4096))])


def with_listener(**listener: Any) -> Settings:
    right = {"bind": ["127.0.0.1:11212"], "allow": ["127.0.0.1"], "authentication": ["sasl"]}
    return settings_of(changed(("listeners", {"one": right | listener})))


@pytest.mark.parametrize(
    ("allow", "noted"),
    [
        ([], ["is empty"]),
        (["10.0.0.0/8"], []),
        (["0.0.0.0/0"], ["0.0.0.0/0 is every address of IPv4"]),
        (["0.0.0.0/1", "10.0.0.0/8"], []),
        (["0.0.0.0/1", "128.0.0.0/1"], ["is every address of IPv4, in parts"]),
        (["0.0.0.0/1", "::ffff:128.0.0.0/97"], ["is every address of IPv4, in parts"]),
        (["::/1", "8000::/2", "c000::/2"], ["is every address of IPv6, in parts"]),
    ],
)
def test_allowlists(allow: list[str], noted: list[str]) -> None:
    found = [note.message for note in allow_notes(with_listener(allow=allow).listeners["one"], ())]
    assert len(found) == len(noted)
    assert all(message.startswith(start) for message, start in zip(found, noted, strict=True))


@pytest.mark.parametrize(
    ("certificate", "broad"),
    [
        ("*", True),
        ("*.com", True),
        ("example.*", True),
        ("*@*.com", True),
        ("*@example.*", True),
        ("spiffe://*/x", True),
        ("https://u@*.com:1/x", True),
        ("*.example.com", False),
        ("web-*", False),
        ("*@example.com", False),
        ("spiffe://prod/*", False),
        ("spiffe://*.prod.example/x", False),
        ({"uri": "urn:uuid:*"}, False),
        ({"subject": "CN=*"}, False),
    ],
)
def test_certificates_of_anybodys_domain(certificate: Any, broad: bool) -> None:
    settings = settings_of(changed(("grants", [{"certificate": certificate, "as": "a", "roles": []}])))
    assert ["anybody's domain" in note.message for note in grant_notes(settings)] == [True] * broad


@pytest.mark.parametrize(
    ("address", "noted"),
    [("0.0.0.0/0", "is every address of IPv4"), ("::/0", "is every address"), ("10.1.0.0/16", "is in no allow list")],
)
def test_addresses_that_are_everybody_or_nobody(address: str, noted: str) -> None:
    listener = {"bind": ["127.0.0.1:1"], "allow": ["10.0.0.0/24"], "authentication": ["address"]}

    def notes(address: str) -> list[str]:
        grants = [{"address": address, "as": "a", "roles": []}]
        settings = settings_of(changed(("listeners", {"one": listener}), ("grants", grants)))
        return [note.message for note in grant_notes(settings)]

    [note] = notes(address)
    assert noted in note
    assert notes("10.0.0.7/32") == notes("10.0.0.0/8") == []


@pytest.mark.parametrize(
    ("mechanisms", "noted"),
    [(["SCRAM-SHA-256"], False), (["PLAIN"], False), (["SCRAM-SHA-1"], True), (["SCRAM-SHA-1", "PLAIN"], False)],
)
def test_mechanisms_that_nobody_can_use(mechanisms: list[str], noted: bool) -> None:
    settings = with_listener(mechanisms=mechanisms)
    found = [note.message for note in login_notes(settings.listeners["one"], settings, USERS, ())]
    assert len(found) == noted
    assert all(message.startswith("nobody can log in here by SCRAM-SHA-1") for message in found)


def test_passwords_behind_a_balancer_on_this_machine() -> None:
    def notes(**listener: Any) -> list[str]:
        settings = with_listener(proxy_protocol=["127.0.0.1/32"], **listener)
        return [note.message for note in login_notes(settings.listeners["one"], settings, USERS, ())]

    [note] = notes(mechanisms=["PLAIN"])
    assert note.startswith("clients elsewhere may send passwords")
    assert notes(mechanisms=["SCRAM-SHA-256"]) == []
    assert notes(mechanisms=["PLAIN"], plaintext_passwords=True) == []
    assert notes(tls={"certificate": "a", "key": "b"}) == []


def test_a_balancer_and_a_listener_for_everybody() -> None:
    listener = {"bind": ["127.0.0.1:1"], "allow": ["10.0.0.0/8"], "authentication": ["none"]}
    assert problems_after(("listeners", {"one": listener})) == []
    [problem] = problems_after(("listeners", {"one": listener | {"proxy_protocol": ["127.0.0.1/32"]}}))
    assert problem.startswith("listeners.one.authentication: none is for clients on this machine")
