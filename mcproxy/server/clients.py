"""Serving clients, from the first accept to the last reply: what a single process and every worker do alike."""

import gc
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from mcproxy.observe.log import get_logger, report_suppressed
from mcproxy.server.last_used import keep_last_used
from mcproxy.server.listeners import accept_forever, accept_waiting
from mcproxy.server.opening import Listening
from mcproxy.server.sockets import stop_queueing
from mcproxy.server.state import ServerState

log = get_logger()
# Seconds that `started` waits for a first link to upstream before it is called without one.
_FIRST_LINK = 2.0
_SWITCH_INTERVAL = 0.001
_READINESS_INTERVAL = 0.5
# Seconds for letting in, at the end, who waits in the kernel's queues.
_LAST_ACCEPTS = 1.0
_LOOK_FOR_SILENT = 0.1


async def serve_clients(
    state: ServerState,
    listening: list[Listening],
    *,
    started: Callable[[], None],
    readiness: Callable[[str | None], None],
    stopping: trio.Event,
    wait_for_stop: Callable[[], Awaitable[bool]],
    stop_listening: Callable[[], None],
) -> None:
    """Serve until `wait_for_stop` returns; then answer what was asked, and return.

    `started` is called once, unless it is told to stop (`stopping`) before there was anything to be ready for;
    `readiness` then and at every change, with why requests can't be served, or None.
    `wait_for_stop` says whether nobody comes after this process: then what waits in the queues of sockets that aren't
    lasting is let in first, and `stop_listening`, which closes these, is called.
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
        await _first_links(state, stopping)
        # Not before: who has waited in the queue through a restart would be let in to be told that upstream is away.
        accepting = _Acceptance(state, listening)
        nursery.start_soon(accepting.run)
        if not stopping.is_set():
            started()
            nursery.start_soon(_report_readiness, state, readiness)
        is_last = await wait_for_stop()
        state.draining = True
        if is_last:
            accepting.stop_queueing()
        await accepting.stop()
        if is_last:
            await accepting.take_the_rest()
            stop_listening()
        await _drain(state)
        nursery.cancel_scope.cancel()


async def _first_links(state: ServerState, stopping: trio.Event) -> None:
    """Wait for a link to each upstream; not for long, and not if it is told to stop."""

    async def stop() -> None:
        await stopping.wait()
        nursery.cancel_scope.cancel()

    with trio.move_on_after(_FIRST_LINK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            for pool in state.pools.values():
                await pool.first_link.wait()
            nursery.cancel_scope.cancel()


class _Acceptance:
    """Accepts on all sockets, until it is stopped."""

    def __init__(self, state: ServerState, listening: list[Listening]) -> None:
        self._state = state
        self._listening = listening
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()

    async def run(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                for listener, sock, shared, _ in self._listening:
                    nursery.start_soon(partial(accept_forever, self._state, listener, sock, shared=shared))
        self._stopped.set()

    def stop_queueing(self) -> None:
        """Who connects from now on isn't queued by sockets that end with this process. Else the queues would fill as
        they are emptied: of several workers the last to close gets everybody who connects."""
        for _, sock, _, lasting in self._listening:
            if not lasting:
                stop_queueing(sock)

    async def stop(self) -> None:
        """Returns when nobody accepts any more, and who was accepted is on his way."""
        self._state.enters_until = trio.current_time() + _LAST_ACCEPTS
        self._scope.cancel()
        await self._stopped.wait()

    async def take_the_rest(self) -> None:
        """Let in who waits in the queues of sockets that end with this process: closing them would reset these."""
        with trio.move_on_after(_LAST_ACCEPTS):
            for listener, sock, _, lasting in self._listening:
                if not lasting:
                    await accept_waiting(self._state, listener, sock)


async def _drain(state: ServerState) -> None:
    """Every session closes once what it has in flight is answered, who logs in gets there, or it is the deadline."""
    began = trio.current_time()
    state.ending = True
    log.info("draining", sessions=len(state.sessions), arriving=state.arriving)
    for client in list(state.clients):
        client.drain()
    for session in list(state.sessions):
        session.drain()
    state.relay.settle()
    with trio.move_on_after(state.generation.settings.limits.drain_timeout) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_silent, state)
            state.look_for_the_end()
            await state.last_session_ended.wait()
            nursery.cancel_scope.cancel()
    if scope.cancelled_caught:
        log.warning("drain_timed_out", sessions=len(state.sessions) + state.closing, arriving=state.arriving)
    else:
        log.info("drained", seconds=round(trio.current_time() - began, 3))


async def _end_silent(state: ServerState) -> None:
    """Strangers who say nothing don't hold up the end."""
    while True:
        for crowd in list(state.crowds.values()):
            crowd.end_silent()
        await trio.sleep(_LOOK_FOR_SILENT)


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
