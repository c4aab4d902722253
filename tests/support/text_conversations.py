"""What a text client may say to any memcached, whatever protocol it is reached by: frames, by what they are about."""

CAS = b"<cas>"
"""In a frame: the cas unique that the last reply had."""

SMALL_ITEMS = ("-I", "512k")
"""The options of both memcacheds: TOO_LARGE is too large."""
LARGE = bytes(range(256)) * 1200
SECOND = b"END\r\nVALUE a 0 1\r\n" * 10000
TOO_LARGE = b"x" * 600_000
LONG_KEYS = [b"%03d" % number + b"k" * 200 for number in range(150)]


def store(line: bytes, value: bytes) -> bytes:
    """A storage command; `#` in its line is the length."""
    return line.replace(b"#", b"%d" % len(value)) + b"\r\n" + value + b"\r\n"


CONVERSATIONS: dict[str, list[bytes]] = {
    "storing and retrieving": [
        store(b"set a 0 0 #", b"one"),
        store(b"set b 4294967295 0 #", b""),
        store(b"set c 7 1000 # noreply", b"END\r\n"),
        b"get a\r\n",
        b"get b c a a missing b\r\n",
        b"get missing\r\n",
        b"gets c missing a\r\n",
        b"gat 100 a missing c\r\n",
        b"gats 0 b a\r\n",
        b"gat -1 b\r\n",
        b"get b\r\n",
    ],
    "on a condition": [
        store(b"add k 1 0 #", b"one"),
        store(b"add k 2 0 #", b"two"),
        store(b"replace k 3 0 #", b"three"),
        store(b"replace none 3 0 #", b"three"),
        store(b"append k 9 0 #", b"-after"),
        store(b"prepend k 9 0 #", b"before-"),
        store(b"append none 9 0 #", b"x"),
        store(b"prepend none 9 0 #", b"x"),
        b"get k none\r\n",
        store(b"add k 1 0 # noreply", b"x"),
        store(b"append k 1 0 # noreply", b"!"),
        b"get k\r\n",
    ],
    "cas": [
        store(b"set k 0 0 #", b"one"),
        b"gets k\r\n",
        store(b"cas k 5 0 # " + CAS, b"two"),
        store(b"cas k 5 0 # 1", b"three"),
        store(b"cas k 5 0 # 0", b"three"),
        store(b"cas none 5 0 # 0", b"three"),
        store(b"cas none 5 0 # 77", b"three"),
        b"get k none\r\n",
    ],
    "counters": [
        store(b"set n 0 0 #", b"10"),
        b"incr n 5\r\ndecr n 1\r\nincr none 1\r\ndecr none 1\r\nincr n 18446744073709551615\r\ndecr n 1000\r\n",
        b"decr n 1 noreply\r\nincr n 7 noreply\r\nget n\r\n",
        store(b"set n 0 0 #", b"ten"),
        b"incr n 1\r\ndecr n 1\r\n",
        b"incr n x\r\n",
    ],
    "deleting and touching": [
        store(b"set k 0 0 #", b"x"),
        b"touch k 100\r\ntouch none 100\r\ntouch k 0 noreply\r\n",
        b"delete k\r\ndelete k\r\ndelete k noreply\r\ndelete k 0\r\n",
        store(b"set k 0 -1 #", b"x") + b"get k\r\n",
        store(b"set k 0 0 #", b"x") + b"touch k -1\r\nget k\r\n",
        store(b"set k 0 2000000000 #", b"x") + b"get k\r\n",
        store(b"set k 0 2592001 #", b"x") + b"get k\r\n",
        store(b"set k 0 0 #", b"x") + b"flush_all\r\nget k\r\nflush_all noreply\r\nflush_all 0\r\nmn\r\nversion\r\n",
        b"verbosity 1\r\nverbosity 0 noreply\r\n",
    ],
    "large": [
        store(b"set large 0 0 #", LARGE),
        b"get large\r\nget large missing large\r\n",
        store(b"set second 0 0 #", SECOND) + b"get second large\r\nget missing\r\ngets second\r\n",
        b"mg large v s\r\nmg large s\r\nmg second v\r\nmn\r\n",
        store(b"append large 0 0 #", LARGE),
        store(b"ms second # MA c k", SECOND),
        store(b"cas second 0 0 # 5", TOO_LARGE) + store(b"replace second 0 0 #", TOO_LARGE) + b"get second\r\n",
        store(b"set large 0 0 #", TOO_LARGE) + b"get large\r\n",
        store(b"set k 0 0 #", b"x") + store(b"ms k # C5", TOO_LARGE) + b"get k\r\n",
        store(b"add none 0 0 #", TOO_LARGE) + store(b"ms none # q", TOO_LARGE) + b"get none\r\n",
        store(b"set large 0 0 # noreply", TOO_LARGE) + b"get second\r\n",
    ],
    "many keys": [
        b"".join(store(b"set %b 1 0 # noreply" % key, key[:5]) for key in LONG_KEYS[::2]),
        b"get %b\r\n" % b" ".join(LONG_KEYS),
        # Of its own accord memcached reads no longer gat than this.
        b"gat 50 %b\r\ngats -1 %b\r\n" % (b" ".join(LONG_KEYS[:9]), b" ".join(LONG_KEYS[140:149])),
        b"gets %b\r\nget %b missing\r\n" % (b" ".join(LONG_KEYS), LONG_KEYS[0]),
        b"".join(b"get %b\r\n" % key for key in LONG_KEYS),
        b"".join(b"get %b nothing %b\r\n" % (key, key) for key in LONG_KEYS),
    ],
    "meta get": [
        store(b"set k 12 0 #", b"value"),
        b"mg k\r\nmg none\r\nmg k v\r\nmg k v s f c k Oabc\r\nmg k Oabc f s\r\nmg none k Oabc v\r\nmg none O1 k s\r\n",
        b"mg k q v\r\nmg none q v k\r\nmg k T50 v\r\nmg k T-1\r\nmg k\r\n",
        store(b"ms Zm9v # b", b"value") + b"mg Zm9v b k v\r\nmg Zm9v k b O9\r\nmg Zm9x b k\r\nmg Zm9v b v\r\n",
        store(b"set empty 0 0 #", b"") + b"mg empty v\r\nmg empty s v k\r\n",
    ],
    "meta set": [
        store(b"ms k #", b"one"),
        store(b"ms k # c k O7 F33 T100", b"two"),
        b"mg k v f\r\n",
        store(b"ms k # ME k", b"three") + store(b"ms new # ME k c", b"three"),
        store(b"ms k # MA O1", b"+") + store(b"ms k # MP s", b"+") + store(b"ms none # MA c k", b"+"),
        store(b"ms k # MR s c", b"replaced") + store(b"ms none # MR k", b"x") + store(b"ms k # MS", b"set"),
        b"mg k v c f\r\n",
        store(b"ms k # C" + CAS + b" k", b"compared"),
        store(b"ms k # C1 k c", b"x") + store(b"ms k # C0 k", b"x") + store(b"ms none # C1 O1", b"x"),
        store(b"ms none # C0 O1", b"x") + store(b"ms k # C1 MR", b"x") + store(b"ms k # C1 ME", b"x"),
        store(b"ms other # C1 ME", b"x") + store(b"ms k # C1 MA", b"x") + store(b"ms k # C0 MA", b"-appended"),
        store(b"ms none # C1 MP", b"x") + store(b"ms none # C1 MR k", b"x") + b"mg k v\r\n",
        store(b"ms k # q", b"x") + store(b"ms k # q ME", b"x") + store(b"ms k # q C1", b"x"),
        store(b"ms Zm9v # b k c", b"x") + store(b"ms k # T-1", b"x") + b"mg k v\r\n",
        store(b"ms k # I", b"x"),
    ],
    "meta delete": [
        store(b"set k 0 0 #", b"x") + b"md k\r\nmd k\r\nmd k q\r\nmd k k O1\r\n",
        store(b"set k 0 0 #", b"x") + b"md k C0 k\r\nmd k C1 O1\r\nmd k O5 k\r\n",
        store(b"set foo 0 0 #", b"x") + b"md Zm9v b k q O1\r\nmd Zm9v b k q O1\r\nmd Zm9x O3 b k\r\n",
        store(b"set k 0 0 #", b"x") + b"mg k c\r\n",
        b"md k C" + CAS + b"\r\n",
    ],
    "meta arithmetic": [
        b"ma n\r\nma n k O1 q\r\nma n N0 J10 v c k\r\nma n v k\r\n",
        b"ma n D5 v\r\nma n MD D100 v\r\nma n M+ v\r\nma n M- v\r\n",
        b"ma n MI q\r\nma n MI q v\r\nma n C1 k\r\nma n C0 v\r\nma n O1 c\r\n",
        b"ma n C" + CAS + b" v\r\n",
        b"ma m N100\r\nmg m v\r\nma new N-1 J3 v\r\nma Zm9v b N0 k v\r\nma Zm9v b k v O3\r\n",
        store(b"set n 0 0 #", b"x") + b"ma n q\r\nma n v\r\n",
    ],
    "mistakes, in step": [
        b"get\r\n",
        b"bogus\r\n",
        b"mg k k k\r\n",
        b"incr k -1\r\nmn\r\n",
    ],
}
