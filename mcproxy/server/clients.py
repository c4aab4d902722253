"""Serving clients, from the first accept to the last reply: what a single process and every worker do alike."""

import gc
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import trio

from mcproxy.observe.log import get_logger, report_suppressed
from mcproxy.server.last_used import keep_last_used
from mcproxy.server.listeners import accept_forever
from mcproxy.server.state import ServerState

log = get_logger()
# Seconds that `started` waits for a first link to upstream before it is called without one.
_FIRST_LINK = 2.0
_SWITCH_INTERVAL = 0.001
_READINESS_INTERVAL = 0.5


class Accepting(NamedTuple):
    """A listening socket and the name of its listener. `shared`: other workers accept from it too."""

    listener: str
    sock: socket.socket
    shared: bool = False


async def serve_clients(
    state: ServerState,
    accepting: list[Accepting],
    *,
    started: Callable[[], None],
    readiness: Callable[[str | None], None],
    wait_for_stop: Callable[[], Awaitable[None]],
) -> None:
    """Serve until `wait_for_stop` returns; then answer what was asked, and return.

    `started` is called once; `readiness` then and at every change, with why requests can't be served, or None.
    """
    # A thread that has hashed a password waits this long for the relay, when that is busy, before it gets its turn.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    # What is there now stays, and need not be looked through whenever garbage is collected, which nobody is served in.
    gc.freeze()
    async with trio.open_nursery() as nursery:
        state.nursery = nursery
        nursery.start_soon(state.relay.run)
        for pool in state.pools.values():
            nursery.start_soon(pool.run)
        nursery.start_soon(_report_suppressed)
        nursery.start_soon(keep_last_used, state.last_used, state.users_now)
        scope = trio.CancelScope()
        nursery.start_soon(_accept_all, state, accepting, scope)
        with trio.move_on_after(_FIRST_LINK):
            for pool in state.pools.values():
                await pool.first_link.wait()
        started()
        nursery.start_soon(_report_readiness, state, readiness)
        await wait_for_stop()
        await _drain(state, scope)
        nursery.cancel_scope.cancel()


async def _accept_all(state: ServerState, accepting: list[Accepting], scope: trio.CancelScope) -> None:
    with scope:
        async with trio.open_nursery() as nursery:
            for listener, sock, shared in accepting:
                nursery.start_soon(partial(accept_forever, state, listener, sock, shared=shared))


async def _drain(state: ServerState, accepting: trio.CancelScope) -> None:
    """No new connections; every session closes once what it has in flight is answered, or at the deadline."""
    state.draining = True
    accepting.cancel()
    for session in list(state.sessions):
        session.drain()
    state.relay.settle()
    with trio.move_on_after(state.generation.settings.limits.drain_timeout) as scope:
        state.look_for_the_end()
        await state.last_session_ended.wait()
    if scope.cancelled_caught:
        log.warning("drain_timed_out", sessions=len(state.sessions) + state.closing)


async def _report_readiness(state: ServerState, tell: Callable[[str | None], None]) -> None:
    known: str | None = ""
    while True:
        reason = state.not_ready()
        if reason != known:
            tell(reason)
            known = reason
        await trio.sleep(_READINESS_INTERVAL)


def log_readiness(reason: str | None) -> None:
    """Say whether requests can be served."""
    if reason is None:
        log.info("ready")
    else:
        log.warning("not_ready", reason=reason)


async def _report_suppressed() -> None:
    while True:
        await trio.sleep(1)
        report_suppressed()
