"""Grants for processes that can't open the socket: told where it is certain, and only there."""

import os
import pwd
from typing import Any

import pytest

from mcproxy.config.peer_notes import peer_notes

from .building import changed, settings_of

OTHER = next(user for user in pwd.getpwall() if user.pw_uid not in (0, os.geteuid()) and user.pw_gid != os.getegid())
NOBODY_S = 3_000_000_000
"""An id that no user here has, and perhaps one in another container."""


def found(peer: dict[str, int], **listener: Any) -> list[str]:
    sidecar = {"bind": ["unix:/run/mcproxy/memcached.sock"], "authentication": ["peer"], **listener}
    grants = [{"peer": peer, "as": "shop", "roles": []}]
    settings = settings_of(changed(("listeners.sidecar", sidecar), ("grants", grants)))
    return [finding.message for finding in peer_notes(settings)]


@pytest.mark.parametrize(
    ("peer", "listener"),
    [
        ({"uid": OTHER.pw_uid}, {}),
        ({"uid": OTHER.pw_uid}, {"mode": "0660"}),
        ({"uid": OTHER.pw_uid}, {"mode": "0640", "group": OTHER.pw_gid}),
        ({"uid": OTHER.pw_uid}, {"mode": "0606", "group": OTHER.pw_gid}),
        ({"uid": NOBODY_S}, {}),
        ({"gid": OTHER.pw_gid}, {}),
    ],
)
def test_who_is_shut_out(peer: dict[str, int], listener: dict[str, Any]) -> None:
    (message,) = found(peer, **listener)
    (number,) = peer.values()
    assert message.startswith(
        f"{'user' if 'uid' in peer else 'group'} id {number} can't open a socket on which it would"
    )
    assert f"the mode is {listener.get('mode', '0600')} of listeners.sidecar" in message


@pytest.mark.parametrize(
    ("peer", "listener"),
    [
        ({"uid": OTHER.pw_uid}, {"mode": "0666"}),
        ({"uid": OTHER.pw_uid}, {"mode": "0660", "group": OTHER.pw_gid}),
        ({"uid": OTHER.pw_uid, "gid": 77_777}, {"mode": "0660", "group": 77_777}),
        ({"uid": os.geteuid()}, {}),
        ({"uid": 0}, {}),
        ({"uid": NOBODY_S}, {"mode": "0660"}),
        ({"gid": OTHER.pw_gid}, {"mode": "0660"}),
        ({"gid": os.getegid()}, {}),
    ],
)
def test_who_may_get_in(peer: dict[str, int], listener: dict[str, Any]) -> None:
    assert found(peer, **listener) == []


def test_a_socket_is_enough() -> None:
    sockets = {
        name: {"bind": [f"unix:/run/{name}"], "mode": mode, "authentication": ["peer"]}
        for name, mode in (("narrow", "0600"), ("wide", "0666"))
    }
    grants = [{"peer": {"uid": OTHER.pw_uid}, "as": "shop", "roles": []}]
    assert not list(peer_notes(settings_of(changed(("listeners", sockets), ("grants", grants)))))
    sockets["wide"]["authentication"] = ["none"]  # there it isn't known by its grant
    assert len(list(peer_notes(settings_of(changed(("listeners", sockets), ("grants", grants)))))) == 1
