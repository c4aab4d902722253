"""What stands against a client that was let in under older files."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from mcproxy.auth.principals import Principal
from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.config.load import loads
from mcproxy.server.basis import Basis, objection, way_objection
from mcproxy.server.generation import make_generation
from mcproxy.server.state import Generation

VERIFIER = make_verifier("x", 4096, bytes(16))


def generation(**changes: Any) -> Generation:
    text = """
listeners:
  web:
    bind: ["10.0.0.1:1"]
    allow: [10.0.0.0/8]
    plaintext: true
    plaintext_passwords: true
    authentication: [sasl, token]
upstream: {address: "127.0.0.1:1"}
users_file: users
default_roles: [app]
roles: {app: {commands: [read], keys: [a]}}
"""
    settings = loads(text, Path("/mcproxy.yaml"), check_machine=False)
    web = settings.listeners["web"].model_copy(update=changes)
    settings = settings.model_copy(update={"listeners": {"web": web}})
    return make_generation(1, settings, Users([("sammy", VERIFIER)]))


class FromFarAway:
    """A connection from another machine, as far as anybody asks."""

    family = socket.AF_INET

    def getpeername(self) -> tuple[str, int]:
        return ("10.0.0.7", 1)


def basis(by: str) -> Basis:
    connection = cast(socket.socket, FromFarAway())
    principal = Principal("user", "sammy")
    return Basis("web", connection, "10.0.0.7", principal=principal, by=by, secret=VERIFIER.identity, protocol="text")


@pytest.mark.parametrize(("by", "stays"), [("PLAIN", False), ("token", False), ("SCRAM-SHA-256", True)])
def test_who_sent_a_password_in_the_clear_where_none_may_be_sent_now(by: str, stays: bool) -> None:
    assert objection(basis(by), generation()) is None
    why = objection(basis(by), generation(plaintext_passwords=False))
    assert why == (None if stays else "a password may not be sent in clear text here any more")


def test_a_way_is_judged_whoever_comes_by_it() -> None:
    """Before his password is looked at."""
    nobody = replace(basis("PLAIN"), principal=None, secret=None)
    assert way_objection(nobody, generation()) is None
    assert way_objection(nobody, generation(mechanisms=["SCRAM-SHA-256"])) == "PLAIN is not a way to log in any more"
    by_token = replace(nobody, by="token")
    assert way_objection(by_token, generation(authentication=["sasl"])) == "token is not a way to log in any more"
    assert objection(nobody, generation()) == "not logged in"
