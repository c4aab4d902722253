"""A generation takes the place of the last: at once for all that is new, then session by session for what there is."""

from typing import Final

import trio

from mcproxy.observe.log import log_bug
from mcproxy.server.basis import RulesCompared
from mcproxy.server.saslauthd import saslauthd_of
from mcproxy.server.state import Generation, ServerState

SLICE: Final = 50
"""Connections that are looked at before others get their turn: about half a millisecond."""


async def swap(state: ServerState, generation: Generation) -> int:
    """Returns how many connections this ends. One at a time: the next swap begins when this one has looked at all.

    Whoever logs in from the first moment on is held to the new generation, also if his login began before. A generation
    that is in its place already is one that sessions are held against once more.
    """
    compared = RulesCompared(state.generation, generation)
    replaced = state.generation
    before = replaced.settings.saslauthd
    state.generation = generation
    state.authenticator.replace_users(generation.users)
    if generation.settings.saslauthd != before:
        state.authenticator.replace_second_source(saslauthd_of(generation.settings.saslauthd))
    _renew_links(state, replaced)
    state.open_pools()
    ended = 0
    for number, client in enumerate(list(state.clients), 1):
        try:
            ended += client.reconsider(compared)
        except Exception as error:
            log_bug(error)
            client.end("internal error")
        if number % SLICE == 0:
            state.relay.settle()
            await trio.lowlevel.checkpoint()
    # Not before: whoever must not ask any more is told why, and not that upstream is away.
    state.rest_pools()
    state.relay.settle()
    return ended


def _renew_links(state: ServerState, replaced: Generation) -> None:
    """Links whose TLS or login has changed are opened anew; those that wait for their next try wait no longer."""
    for name, pool in state.pools.items():
        before, now = replaced.upstreams[name.upstream], state.generation.upstreams[name.upstream]
        trusted = before.trust == now.trust  # who is upstream; our own certificate and login don't change that
        if trusted and before.shown == now.shown and before.login == now.login:
            pool.hurry()
        else:
            pool.renew(trusted=trusted)
