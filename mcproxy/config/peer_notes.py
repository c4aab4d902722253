"""Notes about grants for processes that can't open the socket on which they would be known."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Iterator

from mcproxy.config.problems import Finding
from mcproxy.config.schema import Listener, Peer, Settings

_OWNER, _GROUP, _OTHERS = 0o200, 0o020, 0o002
"""To connect to a unix socket is to write to it (unix(7))."""


def peer_notes(settings: Settings) -> Iterator[Finding]:
    """Only where it is certain, for the user that runs this, as whom the proxy runs too."""
    listeners = {name: one for name, one in settings.listeners.items() if "peer" in one.authentication and one.is_unix}
    for index, grant in enumerate(settings.grants):
        if grant.peer is None or not listeners or any(_may_open(grant.peer, one) for one in listeners.values()):
            continue
        who = f"user id {grant.peer.uid}" if grant.peer.uid is not None else f"group id {grant.peer.gid}"
        modes = ", ".join(f"{one.mode:04o} of listeners.{name}" for name, one in listeners.items())
        message = (
            f"{who} can't open a socket on which it would be known: the mode is {modes}, and the owner user id "
            f'{os.geteuid()}; write mode: "0666", or mode: "0660" and a group that it is in'
        )
        yield Finding(("grants", index, "peer"), message)


def _may_open(peer: Peer, listener: Listener) -> bool:
    """The kernel asks one class alone: the owner's if it is the owner, else the group's if it is in it, else others'.

    Whoever isn't known on this machine, as in another container, may be in any group.
    """
    mode, owner = listener.mode, os.geteuid()
    if peer.uid is None:
        return mode & (_GROUP | _OTHERS) != 0 or peer.gid == os.getegid()
    if peer.uid == 0:
        return True
    if peer.uid == owner:
        return mode & _OWNER != 0
    groups = _groups(peer)
    if groups is None:
        return mode & (_GROUP | _OTHERS) != 0
    return mode & (_GROUP if _group(listener) in groups else _OTHERS) != 0


def _groups(peer: Peer) -> set[int] | None:
    """Those of a user, None where they can't be told."""
    own = set() if peer.gid is None else {peer.gid}
    with contextlib.suppress(KeyError, OSError):
        user = pwd.getpwuid(peer.uid or 0)
        return own | set(os.getgrouplist(user.pw_name, user.pw_gid))
    return None


def _group(listener: Listener) -> int | None:
    if isinstance(listener.group, str):
        with contextlib.suppress(KeyError):  # told before the notes
            return grp.getgrnam(listener.group).gr_gid
        return None
    return os.getegid() if listener.group is None else listener.group
