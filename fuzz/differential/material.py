"""What frames are made of: keys, values and numbers that have been somebody's undoing before."""

import random

KEY_BYTES = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
FIXED_KEYS = [
    b"a",
    b"b",
    b"k1",
    b"app:1",
    b"app:2",
    b"app:" + b"x" * 246,
    b"n:1",
    b"n:2",
    b"n:3",
    b"0",
    b"-1",
    b"get",
    b"END",
]
FIXED_KEYS += [b"HTTP/1.1", b"\x80\xff", b"k" * 250, b"noreply", b"q", b"VALUE", b"set", b"mn", b"N0", b"Zm9v", b"foo"]
GRANTED = [b"app:1", b"app:2", b"app:3", b"n:1", b"n:2", b"n:3", b"a", b"k1"]
BLANK_KEYS = [b"app:blank", b"blank"]
"""Keys of values in which no number is ever sought; see steadiness.py."""

TIMES = [b"0", b"0", b"0", b"1000", b"2592000", b"2592001", b"2147483647", b"-1", b"900"]
"""Nothing that runs out while a stream is under way."""
U32 = [b"0", b"1", b"7", b"65536", b"4294967295"]
U64 = [b"0", b"1", b"7", b"10", b"4294967296", b"9223372036854775808", b"18446744073709551615"]
INCREMENTS = [b"0", b"1", b"7", b"10", b"4294967296", b"1099511627776"]
"""So small that no counter gets to 2**63 in a run; see steadiness.py."""

TEXTS = [
    b"",
    b"x",
    b"END\r\n",
    b"get a\r\nflush_all\r\n",
    b"\r\n",
    b"\0" * 24,
    b"VALUE a 0 1\r\nx\r\nEND\r\n",
    b"mn\r\nMN\r\n",
    b"\x80\x08" + b"\0" * 22,
    b"\x81\x0a" + b"\0" * 22,
    b"HD\r\nVA 2\r\nok\r\nEN\r\n",
    b"set a 0 0 1000 noreply\r\n",
    b"ERROR\r\nSERVER_ERROR x\r\n",
    b"value" * 20,
]
NUMBERS = [
    b"0",
    b"1",
    b"9",
    b"10",
    b"99",
    b"100",
    b"4611686018427387904",
    b"18446744073709551616",
    b"007",
    b"5  ",
    b"-1",
]


def key(choose: random.Random) -> bytes:
    """A key of the text rule: a fixed one, one that the limited listener grants, or any."""
    which = choose.random()
    if which < 0.5:
        return choose.choice(GRANTED)
    if which < 0.85:
        return choose.choice(FIXED_KEYS)
    prefix = choose.choice((b"", b"app:", b"n:", b"k"))
    return prefix + bytes(choose.choices(KEY_BYTES, k=choose.choice((1, 2, 8, 30, 200, 246))))


def any_key(choose: random.Random) -> bytes:
    """A key for what does not seek a number in the value."""
    return choose.choice(BLANK_KEYS) if choose.random() < 0.08 else key(choose)


def key_of(choose: random.Random, content: bytes) -> bytes:
    """A key for this value."""
    return key(choose) if content.strip() else choose.choice(BLANK_KEYS)


def addition(choose: random.Random) -> bytes:
    """What is appended or prepended: never a digit beside other digits."""
    content = value(choose)
    return b"x" + content + b"x" if content[:1].isdigit() or content[-1:].isdigit() else content


def value(choose: random.Random) -> bytes:
    """A data block: protocol text, a number, any bytes, now and then a large one."""
    which = choose.random()
    if which < 0.45:
        return choose.choice(TEXTS)
    if which < 0.75:
        return choose.choice(NUMBERS)
    if which < 0.985:
        return choose.randbytes(choose.choice((1, 2, 3, 10, 100, 500)))
    return choose.randbytes(choose.choice((2047, 2048, 4096, 16383, 16385, 20_000)))
