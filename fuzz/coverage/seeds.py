"""Where the kept corpus began: streams of the tests' own frames, sound and damaged, and sound replies."""

import random
from collections.abc import Callable, Iterator
from itertools import chain

from fuzz.coverage.answers import answer
from fuzz.coverage.frames import FRAMES, KEYLESS
from tests.support import packets
from tests.unit.wire.administering import LINES
from tests.unit.wire.driving import Client
from tests.unit.wire.generating import Generated, binary_frame, damaged, text_frame

META = [
    b"mn\r\n",
    b"mg a v\r\n",
    b"mg a s v t f h l k Oabc c q\r\n",
    b"mg a N30 R10 T60 v\r\n",
    b"mg Zm9v b k v\r\n",
    b"mg a u\r\nmg b q\r\nmn\r\n",
    b"ms a 1\r\nx\r\n",
    b"ms a 5 c F7 I T60 MS b\r\nhello\r\n",
    b"ms Zm9v 2 b C7 I k O1 q ME\r\nEN\r\n",
    b"ms a 2 MA N60\r\nmn\r\n",
    b"md a q\r\nmd a I T30 k Ox C5\r\n",
    b"ma a\r\nma a N60 J10 D2 T5 MI q t c v k O1\r\n",
    b"ma Y291bnQ= b MD D18446744073709551615 v\r\n",
    b"me a\r\nme Zm9v b\r\n",
    b"mg a b b\r\nms a 1 S\r\nx\r\nms a -1\r\n",
    b"mg " + b"k" * 251 + b" v\r\nms " + b"k" * 251 + b" 2\r\nmn\r\nmn\r\n",
]
WIDE = b"\0\xff\0\0"
"""The header of a conversation in a wide window, by somebody who may do everything."""


def _streams(frame: Callable[[random.Random], Generated]) -> Iterator[bytes]:
    chosen = random.Random(1)
    for number in range(300):
        header = bytes([chosen.randrange(4), chosen.choice([0, 2, 255]), number % 7, number % 11])
        frames = [frame(chosen).data for _ in range(chosen.choice([1, 1, 3, 8]))]
        yield header + b"".join(damaged(chosen, one) if chosen.random() < 0.3 else one for one in frames)


def _opcodes() -> Iterator[bytes]:
    for who in range(4):
        for opcode in range(0x27):
            key = b"" if opcode in (*KEYLESS, packets.LIST_MECHS, packets.STAT) else b"app:a"
            yield bytes([who]) + WIDE[1:] + packets.with_key(opcode, key, opaque=opcode) + packets.packet(packets.NOOP)


def _meta() -> Iterator[bytes]:
    chosen = random.Random(1)
    for frame in META:
        yield WIDE + frame
        for _ in range(10):
            yield bytes([chosen.randrange(4), 255, *chosen.randbytes(2)]) + damaged(chosen, frame)


def _replies() -> Iterator[bytes]:
    chosen = random.Random(1)
    for is_text in (True, False):
        names = [name for name, frame in FRAMES.items() if frame.text is is_text]
        for index, name in enumerate(names):
            frame = FRAMES[name]
            sent: list[bytes] = []

            def noted(data: bytes, sent: list[bytes] = sent) -> bytes:
                sent.append(data)
                return answer(data)

            client = Client(frame.make_parser, noted, 1000, False, 0)
            client.receive(frame.data)
            replies = b"".join(map(answer, sent))
            for number in range(3):
                header = bytes([0 if is_text else 255, 0, number, index % 5, index])
                yield header + (damaged(chosen, replies) if number else replies)


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "text": lambda: chain(_streams(text_frame), (WIDE + line + b"\r\nmn\r\n" for line in LINES)),
    "meta": _meta,
    "binary": lambda: chain(_streams(binary_frame), _opcodes()),
    "replies": _replies,
}
