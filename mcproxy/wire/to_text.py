"""Binary requests for an upstream that speaks only the text protocol (memcached -Y: a token login means text).

It takes the meta commands there, as memcached has them since 1.6.10 (1.6.18 is what was measured): no classic command
gives the cas of what it stored, and a classic reply names neither its key nor an opaque. docs/protocol.md says in what
a client can tell this from memcached's own binary protocol.
"""

import itertools
from collections.abc import Callable
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary_requests import BinaryRequest, BinaryStatistics
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import Request
from mcproxy.wire.to_text_changes import ChangeAsPacket, Statuses
from mcproxy.wire.to_text_packets import KeylessAsText
from mcproxy.wire.to_text_statistics import StatisticsAsPackets
from mcproxy.wire.to_text_values import ValueAsPacket

# Text has signed times, and the last of them is in January 2038; -1 and all below is "expired" there. In binary they
# have no sign, and 0xffffffff is the year 2106.
_LAST_TIME: Final = 2**31 - 1
# The opaques of this process's meta commands: none is another's.
_numbers: Final = itertools.count(1)

_MODES: Final = {
    operations.SET: b"S",
    operations.ADD: b"E",
    operations.REPLACE: b"R",
    operations.APPEND: b"A",
    operations.PREPEND: b"P",
}
_STORED: Final[dict[int, Statuses]] = {
    operations.SET: {b"HD": operations.SUCCESS},
    operations.ADD: {b"HD": operations.SUCCESS, b"NS": operations.KEY_EXISTS},
    operations.REPLACE: {b"HD": operations.SUCCESS, b"NS": operations.KEY_NOT_FOUND},
    operations.APPEND: {b"HD": operations.SUCCESS, b"NS": operations.ITEM_NOT_STORED},
    operations.PREPEND: {b"HD": operations.SUCCESS, b"NS": operations.ITEM_NOT_STORED},
}
# DELETE, and compare-and-swap.
_FOUND: Final[Statuses] = {b"HD": operations.SUCCESS, b"NF": operations.KEY_NOT_FOUND}
_COUNTED_OR_CREATED: Final[Statuses] = {b"VA": operations.SUCCESS}
_COUNTED: Final[Statuses] = {b"VA": operations.SUCCESS, b"NF": operations.KEY_NOT_FOUND}
_IF_EQUAL: Final[Statuses] = {b"EX": operations.KEY_EXISTS}


def to_text(request: Request) -> Request | Refusal:
    """The same request as text, whose replies reach the client as packets; or why there is none."""
    if isinstance(request, BinaryRequest):
        return _MAKERS[request.operation.sent](request)
    if isinstance(request, BinaryStatistics):
        return StatisticsAsPackets(request)
    # Nothing else comes from a binary client.
    return Refusal(b"", "not translatable", close=True)


def _get(request: BinaryRequest) -> Request:
    return ValueAsPacket(request, b"gets " + request.key + b"\r\n")


def _get_and_touch(request: BinaryRequest) -> Request:
    # TOUCH too: `touch` says neither flags nor cas, and `mg` with T could be the one that is told to fetch a stale item
    # anew. That it goes up as gats is why an upstream with grants must grant it both touch and read.
    return ValueAsPacket(request, b"gats " + _time(request.body[:4]) + b" " + request.key + b"\r\n")


def _store(request: BinaryRequest) -> Request:
    number = _next_number()
    body = request.body
    start = request.operation.extras + len(request.key)
    opcode = request.operation.sent
    item = b""
    if request.operation.extras:
        item = b" F%d T" % int.from_bytes(body[:4], "big") + _time(body[4:8])
    mode, statuses = _MODES[opcode], _STORED[opcode]
    if request.cas and item:
        # memcached takes all three for compare-and-swap.
        mode, statuses = b"S", _FOUND
    line = b"ms %s %d k O%s c%s M%s%s\r\n" % (
        request.key,
        len(body) - start,
        number,
        item,
        mode,
        _compare(request.cas),
    )
    upstream = b"".join((line, memoryview(body)[start:], b"\r\n"))
    return ChangeAsPacket(request, upstream, number, _or_unequal(statuses, request.cas), gives_cas=True)


def _delete(request: BinaryRequest) -> Request:
    number = _next_number()
    line = b"md %s k O%s%s\r\n" % (request.key, number, _compare(request.cas))
    return ChangeAsPacket(request, line, number, _or_unequal(_FOUND, request.cas), gives_cas=False)


def _count(request: BinaryRequest) -> Request:
    number = _next_number()
    body = request.body
    delta = int.from_bytes(body[:8], "big")
    create, statuses = b"", _COUNTED
    if body[16:20] != operations.DO_NOT_CREATE:
        create = b" N%s J%d" % (_time(body[16:20]), int.from_bytes(body[8:16], "big"))
        statuses = _COUNTED_OR_CREATED
    mode = b"I" if request.operation.sent == operations.INCREMENT else b"D"
    line = b"ma %s k O%s v c D%d M%s%s%s\r\n" % (request.key, number, delta, mode, create, _compare(request.cas))
    return ChangeAsPacket(request, line, number, _or_unequal(statuses, request.cas), gives_cas=True)


def _next_number() -> bytes:
    return b"%d" % next(_numbers)


def _time(expiry: bytes) -> bytes:
    return b"%d" % min(int.from_bytes(expiry, "big"), _LAST_TIME)


def _compare(cas: int) -> bytes:
    return b" C%d" % cas if cas else b""


def _or_unequal(statuses: Statuses, cas: int) -> Statuses:
    return {**statuses, **_IF_EQUAL} if cas else statuses


_MAKERS: Final[dict[int, Callable[[BinaryRequest], Request]]] = {
    **dict.fromkeys((operations.GET, operations.GETK), _get),
    **dict.fromkeys((operations.TOUCH, operations.GAT, operations.GATK), _get_and_touch),
    **dict.fromkeys(_MODES, _store),
    operations.DELETE: _delete,
    **dict.fromkeys((operations.INCREMENT, operations.DECREMENT), _count),
    **dict.fromkeys((operations.FLUSH, operations.NOOP, operations.VERSION), KeylessAsText),
}
