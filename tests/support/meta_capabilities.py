"""What the meta commands can do, as conversations: memccapable's counterpart for them, which has none.

Each is held with a memcached directly and through the program, and every reply has to be the same. A step is what is
sent at once; `{cas}` in it is the last cas unique that came back. Keys are each conversation's own: `{k}`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Until:
    """A step that is repeated until its replies are these: for what only time brings about."""

    sent: bytes
    replies: bytes


Step = bytes | Until

LARGE = b"0123456789abcdef" * 16384
"""256 KiB."""

WINS = b"mg {k} v c t\r\n"

CONVERSATIONS: dict[str, tuple[Step, ...]] = {
    # Reading.
    "miss": (b"mg {k}\r\n", b"mg {k} v\r\n", b"mg {k} k O9\r\n"),
    "hit without a value": (b"ms {k} 2\r\nhi\r\n", b"mg {k}\r\n"),
    "hit with its value": (b"ms {k} 2\r\nhi\r\n", b"mg {k} v\r\n"),
    "empty value": (b"ms {k} 0\r\n\r\n", b"mg {k} v s\r\n"),
    "value of every byte": (b"ms {k} 256\r\n" + bytes(range(256)) + b"\r\n", b"mg {k} v s\r\n"),
    "value that looks like replies": (b"ms {k} 18\r\nEN\r\nHD\r\nMN\r\nVA 1\r\n\r\n", b"mg {k} v\r\nmg {k} s\r\n"),
    "size": (b"ms {k} 5\r\nhello\r\n", b"mg {k} s\r\n", b"mg {k} s v\r\n"),
    "size where it is stored": (b"ms {k} 5 s\r\nhello\r\n", b"ms {k} 5 k s O1 MA\r\nhello\r\n"),
    "client flags": (b"ms {k} 1 F4294967295\r\nx\r\n", b"mg {k} f v\r\n", b"get {k}\r\n"),
    "flags default to 0": (b"ms {k} 1\r\nx\r\n", b"mg {k} f\r\n"),
    "key comes back": (b"ms {k} 1 k\r\nx\r\n", b"mg {k} k\r\n", b"mg {k} k v\r\n"),
    "opaque comes back": (b"ms {k} 1 Oabc\r\nx\r\n", b"mg {k} O123\r\n", b"mg {k} O\r\n", b"md {k} O!\r\n"),
    "opaque of 31 bytes": (b"mg {k} O" + b"o" * 31 + b"\r\n", b"ms {k} 1 O" + b"\xff" * 31 + b"\r\nx\r\n"),
    "echoes keep their order": (b"ms {k} 1 F7\r\nx\r\n", b"mg {k} s f k O1\r\n", b"mg {k} O1 k f s\r\n"),
    "every flag at once": (b"ms {k} 3 F9\r\nabc\r\n", b"mg {k} k O7 c t s f h l u v\r\n"),
    "hit before": (b"ms {k} 1\r\nx\r\n", b"mg {k} h\r\n", b"mg {k} h\r\n", b"mg {k} h v\r\n"),
    "last access": (b"ms {k} 1\r\nx\r\n", b"mg {k} l\r\n", b"mg {k} l v\r\n"),
    "u leaves no trace": (b"ms {k} 1\r\nx\r\n", b"mg {k} u v\r\n", b"mg {k} u h l\r\n", b"mg {k} h\r\n"),
    "large value": (b"ms {k} 262144\r\n" + LARGE + b"\r\n", b"mg {k} v s\r\n", b"mg {k} s\r\n"),
    "large values in a row": (b"ms {k} 262144 q\r\n" + LARGE + b"\r\n", b"mg {k} v\r\n" * 8),
    "value too large": (b"ms {k} 1\r\nx\r\n", b"ms {k} 1048570\r\n" + b"x" * 1048570 + b"\r\n", b"mg {k} v\r\n"),
    # Time to live.
    "no time to live": (b"ms {k} 1\r\nx\r\n", b"mg {k} t\r\n"),
    "time to live": (b"ms {k} 1 T100\r\nx\r\n", b"mg {k} t v\r\n"),
    "T0 never expires": (b"ms {k} 1 T0\r\nx\r\n", b"mg {k} t v\r\n"),
    "T-1 is expired at once": (b"ms {k} 1 T-1\r\nx\r\n", b"mg {k} t v\r\n"),
    "every negative T is": (b"ms {k} 1 T-100\r\nx\r\n", b"mg {k} t v\r\n"),
    "T of 30 days is relative": (b"ms {k} 1 T2592000\r\nx\r\n", b"mg {k} t\r\n"),
    "T above is a date long past": (b"ms {k} 1 T2592001\r\nx\r\n", b"mg {k} t\r\n"),
    "touch by mg": (b"ms {k} 1\r\nx\r\n", b"mg {k} T50\r\n", b"mg {k} t\r\n", b"mg {k} T0 v\r\n", b"mg {k} t\r\n"),
    "t before and after T": (b"ms {k} 1\r\nx\r\n", b"mg {k} t T50\r\n", b"mg {k} T30 t\r\n", b"mg {k} t\r\n"),
    "touch into the past": (b"ms {k} 1\r\nx\r\n", b"mg {k} T-1 v\r\n", b"mg {k} v\r\n"),
    "touch a miss": (b"mg {k} T30\r\n", b"mg {k}\r\n"),
    "classic touch and meta": (
        b"ms {k} 1\r\nx\r\n",
        b"touch {k} 60\r\n",
        b"mg {k} t\r\n",
        b"gat 90 {k}\r\n",
        b"mg {k} t\r\n",
    ),
    "time passes": (
        b"ms {k} 1 T1\r\nx\r\nms {k}2 1\r\ny\r\nmg {k}2 T1\r\nma {k}3 N1 v\r\nms {k}4 1 T1 MS\r\nz\r\n",
        Until(b"mg {k} v\r\nmg {k}2 v\r\nmg {k}3 v\r\nmg {k}4 v\r\n", b"EN\r\n" * 4),
        b"ms {k} 1 ME\r\nn\r\nmg {k} v\r\n",
    ),
    # Storing.
    "set overwrites": (b"ms {k} 1\r\nx\r\n", b"ms {k} 2 F5\r\nyz\r\n", b"mg {k} v f\r\n"),
    "mode set": (b"ms {k} 1 MS\r\nx\r\n", b"ms {k} 1 MS\r\ny\r\n", b"mg {k} v\r\n"),
    "mode add": (b"ms {k} 1 ME\r\nx\r\n", b"ms {k} 1 ME\r\ny\r\n", b"mg {k} v\r\n"),
    "mode replace": (b"ms {k} 1 MR\r\nx\r\n", b"ms {k} 1\r\ny\r\n", b"ms {k} 1 MR\r\nz\r\n", b"mg {k} v\r\n"),
    "mode append": (b"ms {k} 1 MA\r\nx\r\n", b"ms {k} 1 F3\r\ny\r\n", b"ms {k} 2 MA F9\r\nzz\r\n", b"mg {k} v f\r\n"),
    "mode prepend": (b"ms {k} 1 MP\r\nx\r\n", b"ms {k} 1 F3\r\ny\r\n", b"ms {k} 2 MP\r\nzz\r\n", b"mg {k} v f\r\n"),
    "modes echo": (b"ms {k} 1 MA k O1 c\r\nx\r\n", b"ms {k} 1 ME k O2 c\r\nx\r\n", b"ms {k} 1 ME k O3 c\r\nx\r\n"),
    "append many": (b"ms {k} 0\r\n\r\n", b"ms {k} 3 MA q\r\nabc\r\n" * 50, b"mg {k} v s\r\n"),
    "append nothing": (b"ms {k} 1\r\nx\r\n", b"ms {k} 0 MA\r\n\r\n", b"ms {k} 0 MP\r\n\r\n", b"mg {k} v\r\n"),
    "append keeps the time to live": (b"ms {k} 1 T100\r\nx\r\n", b"ms {k} 1 MA\r\ny\r\n", b"mg {k} t v\r\n"),
    "autovivify by append": (b"ms {k} 3 MA N100\r\nabc\r\n", b"mg {k} v\r\n"),
    "autovivify by prepend": (b"ms {k} 3 MP N100\r\nabc\r\n", b"mg {k} v\r\n"),
    "set and classic get": (b"ms {k} 5 F3\r\nhello\r\n", b"get {k}\r\ngets {k}\r\n"),
    "classic set and mg": (b"set {k} 3 0 5\r\nhello\r\n", b"mg {k} v f s t\r\n"),
    # Compare and swap.
    "cas comes back": (b"ms {k} 1 c\r\nx\r\n", b"mg {k} c\r\n", b"gets {k}\r\n"),
    "cas matches": (b"ms {k} 1 c\r\nx\r\n", b"ms {k} 1 C{cas} c\r\ny\r\n", b"mg {k} v c\r\n"),
    "cas does not match": (b"ms {k} 1 c\r\nx\r\n", b"ms {k} 1 C1\r\ny\r\n", b"mg {k} v\r\n"),
    "cas on a miss": (b"ms {k} 1 C1\r\ny\r\n", b"ms {k} 1 C1 k O1 c\r\ny\r\n", b"mg {k} v\r\n"),
    "cas only once": (b"ms {k} 1 c\r\nx\r\n", b"ms {k} 1 C{cas}\r\ny\r\nms {k} 1 C{cas}\r\nz\r\n", b"mg {k} v\r\n"),
    "cas of 0": (b"ms {k} 1\r\nx\r\n", b"ms {k} 1 C0\r\ny\r\n", b"md {k} C0\r\n", b"mg {k} v\r\n"),
    "cas and delete": (b"ms {k} 1 c\r\nx\r\n", b"md {k} C1\r\n", b"md {k} C{cas}\r\n", b"mg {k}\r\n"),
    "cas and arithmetic": (b"ms {k} 1 c\r\n5\r\n", b"ma {k} C1 v\r\n", b"ma {k} C{cas} v c\r\n", b"ma {k} v c\r\n"),
    "cas with append": (
        b"ms {k} 1 c\r\nx\r\n",
        b"ms {k} 1 C{cas} MA\r\ny\r\n",
        b"ms {k} 1 C1 MA\r\nz\r\n",
        b"mg {k} v\r\n",
    ),
    "cas with replace": (b"ms {k} 1 c\r\nx\r\n", b"ms {k} 1 MR C{cas}\r\ny\r\n", b"mg {k} v\r\n"),
    "classic cas with a meta one": (b"ms {k} 1 c\r\nx\r\n", b"cas {k} 0 0 1 {cas}\r\ny\r\n", b"mg {k} v\r\n"),
    "every change has another": (b"ms {k} 1 c\r\nx\r\n", b"ms {k} 1 c\r\nx\r\n", b"ma {k} N0 c\r\n", b"mg {k} c\r\n"),
    "mg with a cas": (b"ms {k} 1 c\r\nx\r\n", b"mg {k} C{cas} v\r\n", b"mg {k} C1 v\r\n"),
    # Deleting.
    "delete": (b"ms {k} 1\r\nx\r\n", b"md {k}\r\n", b"md {k}\r\n", b"mg {k}\r\n"),
    "delete echoes": (b"ms {k} 1\r\nx\r\n", b"md {k} k O1\r\n", b"md {k} O2 k\r\n"),
    "delete the key noreply": (b"ms noreply 1\r\nx\r\n", b"md noreply\r\n", b"md noreply\r\n"),
    "T without I": (b"ms {k} 1\r\nx\r\n", b"md {k} T30\r\n", b"mg {k}\r\n"),
    # Stale items, and who may fetch them anew.
    "invalidate": (b"ms {k} 1\r\nx\r\n", b"md {k} I\r\n", WINS, WINS, WINS),
    "invalidate for a time": (b"ms {k} 1\r\nx\r\n", b"md {k} I T30\r\n", WINS, b"mg {k} t\r\n"),
    "invalidate and win without a value": (b"ms {k} 1\r\nx\r\n", b"md {k} I\r\n", b"mg {k}\r\n", b"mg {k} k O1\r\n"),
    "the winner stores": (b"ms {k} 1\r\nx\r\n", b"md {k} I\r\n", WINS, b"ms {k} 1 C{cas}\r\ny\r\n", WINS),
    "the loser may not": (b"ms {k} 1 c\r\nx\r\n", b"md {k} I\r\n", b"ms {k} 1 C{cas}\r\ny\r\n", b"mg {k} v\r\n"),
    "a plain set ends it": (
        b"ms {k} 1\r\nx\r\n",
        b"md {k} I T30\r\n",
        b"mg {k} v\r\n",
        b"ms {k} 1\r\ny\r\n",
        b"mg {k} v t\r\n",
    ),
    "invalidate with a cas": (b"ms {k} 1 c\r\nx\r\n", b"md {k} I C1\r\n", b"md {k} I C{cas}\r\n", b"mg {k} v\r\n"),
    "invalidate a miss": (b"md {k} I T30\r\n", b"mg {k}\r\n"),
    "an older cas marks it stale": (
        b"ms {k} 1\r\nx\r\n",
        b"ms {k} 1 C1 I\r\ny\r\n",
        b"mg {k} v\r\n",
        b"mg {k} v\r\n",
        b"ms {k} 1 C1 I c\r\nz\r\n",
    ),
    "a newer cas does not": (b"ms {k} 1 c\r\nx\r\n", b"ms {k} 1 C18446744073709551615 I\r\ny\r\n", b"mg {k} v\r\n"),
    "stale for the classic commands": (b"ms {k} 1\r\nx\r\n", b"md {k} I\r\n", b"get {k}\r\n", b"mg {k} v\r\n"),
    "vivify on a miss": (b"mg {k} N30 v t c\r\n", b"mg {k} N30 v t\r\n", b"mg {k} v\r\n"),
    "vivify, then store": (b"mg {k} N30 c\r\n", b"ms {k} 1 C{cas} T60\r\nx\r\n", b"mg {k} N30 v t\r\n"),
    "vivify twice": (b"mg {k} N30 k O1\r\n", b"mg {k} N30 k O2\r\n", b"mg {k} k O3\r\n"),
    "vivify what is there": (b"ms {k} 1\r\nx\r\n", b"mg {k} N30 v t\r\n"),
    "vivify for ever": (b"mg {k} N0 t\r\n", b"mg {k} t\r\n"),
    "recache": (b"ms {k} 1 T20\r\nx\r\n", b"mg {k} R30 v\r\n", b"mg {k} R30 v\r\n", b"mg {k} v\r\n"),
    "no recache before its time": (b"ms {k} 1 T100\r\nx\r\n", b"mg {k} R30 v\r\n", b"mg {k} R30 v t\r\n"),
    "no recache without a time to live": (b"ms {k} 1\r\nx\r\n", b"mg {k} R30 v\r\n"),
    "recache a miss": (b"mg {k} R30\r\n",),
    "recache and store": (
        b"ms {k} 1 T20\r\nx\r\n",
        b"mg {k} R30 c\r\n",
        b"ms {k} 1 T90 C{cas}\r\ny\r\n",
        b"mg {k} R30 v t\r\n",
    ),
    "all three": (b"mg {k} N30 R30 T90 v t\r\n", b"mg {k} N30 R30 T20 v t\r\n", b"mg {k} N30 R30 T90 t v\r\n"),
    # Arithmetic.
    "count": (b"ms {k} 1\r\n5\r\n", b"ma {k}\r\n", b"ma {k} v\r\n", b"mg {k} v\r\n"),
    "count a miss": (b"ma {k}\r\n", b"ma {k} v k O1\r\n"),
    "count by a delta": (b"ms {k} 1\r\n5\r\n", b"ma {k} D10 v\r\n", b"ma {k} D0 v\r\n"),
    "count down": (b"ms {k} 2\r\n15\r\n", b"ma {k} MD v\r\n", b"ma {k} M- D4 v\r\n", b"ma {k} MD D100 v\r\n"),
    "count up": (b"ms {k} 2\r\n15\r\n", b"ma {k} MI v\r\n", b"ma {k} M+ D4 v\r\n"),
    # From below 2**63: of larger ones memcached 1.6.18 takes a minus sign in leftover memory for the number's own.
    "count over the top": (b"ms {k} 19\r\n%d\r\n" % (2**63 - 1), b"ma {k} D%d v\r\n" % (2**63 + 1), b"ma {k} v\r\n"),
    "count with a new length": (b"ms {k} 1\r\n9\r\n", b"ma {k} v\r\n", b"ma {k} D990 v\r\n", b"mg {k} v s\r\n"),
    "counter that creates": (b"ma {k} N0 v t\r\n", b"ma {k} N0 v\r\n"),
    "counter that creates with a value": (b"ma {k} N90 J13 v t\r\n", b"ma {k} N90 J13 v t\r\n"),
    "counter that creates, echoes": (b"ma {k} N0 J5 k O1 c t\r\n", b"ma {k} N0 J5 O2 k\r\n"),
    "counter and its time to live": (
        b"ms {k} 1\r\n5\r\n",
        b"ma {k} T60 t v\r\n",
        b"ma {k} t T30 v\r\n",
        b"mg {k} t\r\n",
    ),
    "counter of something else": (
        b"ms {k} 3\r\nabc\r\n",
        b"ma {k}\r\n",
        b"ma {k} v k O1\r\n",
        b"ma {k} N0\r\n",
        b"mg {k} v\r\n",
    ),
    "counter and classic incr": (
        b"ma {k} N0 J5\r\n",
        b"incr {k} 2\r\n",
        b"decr {k} 1\r\n",
        b"ma {k} v\r\n",
        b"get {k}\r\n",
    ),
    # Looking at items.
    "debug": (b"ms {k} 5\r\nhello\r\n", b"me {k}\r\n", b"mg {k} v\r\n", b"mg {k} v\r\n", b"me {k}\r\n"),
    "debug a miss": (b"me {k}\r\n",),
    "debug with a time to live": (b"ms {k} 5 T100\r\nhello\r\n", b"me {k}\r\n"),
    "debug under base64": (b"ms {k} 5\r\nhello\r\n", b"me {b} b\r\n"),
    # Base64 keys: {b} is {k}'s.
    "base64": (b"ms {b} 5 b k\r\nhello\r\n", b"mg {b} b v k\r\n", b"mg {k} v\r\n", b"get {k}\r\n"),
    "base64 of a plain key": (b"ms {k} 5\r\nhello\r\n", b"mg {b} b v k O1\r\n", b"md {b} b k\r\n", b"mg {k}\r\n"),
    "base64, asked plainly": (b"ms {b} 5 b\r\nhello\r\n", b"mg {k} k v\r\n", b"mg {k} O1 k s\r\n"),
    "base64 misses": (b"mg {b} b k\r\n", b"md {b} b k O1\r\n", b"ma {b} b k\r\n", b"ms {b} 1 b MR k c\r\nx\r\n"),
    "base64 counter": (b"ma {b} b N0 J5 v k\r\n", b"ma {b} b v k O1\r\n", b"mg {k} v\r\n"),
    "base64 that creates": (b"mg {b} b N0 k v\r\n", b"mg {b} b k\r\n", b"mg {k} k\r\n"),
    "base64 and stale": (b"ms {b} 1 b\r\nx\r\n", b"md {b} b I T30 k\r\n", b"mg {b} b k v\r\n", b"mg {b} b k v\r\n"),
    "base64 and append": (b"ms {b} 1 b\r\nx\r\n", b"ms {b} 1 b MA k\r\ny\r\n", b"mg {b} b v k\r\n"),
    # Quiet mode.
    "quiet miss": (b"mg {k} q\r\nmg {k} v q k O1\r\n",),
    "quiet hit": (b"ms {k} 1\r\nx\r\n", b"mg {k} q\r\n", b"mg {k} v q k\r\n"),
    "quiet store": (b"ms {k} 1 q\r\nx\r\n", b"mg {k} v\r\n"),
    "quiet store that fails": (
        b"ms {k} 1 q MR k\r\nx\r\n",
        b"ms {k} 1 q\r\nx\r\nms {k} 1 q ME O1\r\ny\r\nms {k} 1 q C1\r\nz\r\n",
    ),
    "quiet delete": (b"ms {k} 1\r\nx\r\n", b"md {k} q\r\n", b"md {k} q k\r\n", b"mg {k}\r\n"),
    "quiet delete that fails": (b"ms {k} 1\r\nx\r\n", b"md {k} q C1 k\r\n", b"mg {k}\r\n"),
    "quiet counter": (b"ms {k} 1\r\n5\r\n", b"ma {k} q\r\nma {k} q v k\r\n", b"ma {k} v\r\n"),
    "quiet counter that fails": (b"ma {k} q\r\n", b"ms {k} 1\r\nx\r\n", b"ma {k} q v\r\n"),
    "quiet and too large": (b"ms {k} 1048570 q k O1\r\n" + b"x" * 1048570 + b"\r\n", b"mg {k}\r\n"),
    "quiet pipeline": (
        b"".join(b"ms {k}%d 2 q\r\n%02d\r\nmg {k}%d v q k\r\nmg {k}x%d q\r\n" % (n, n, n, n) for n in range(40)),
    ),
    "opaque in a quiet pipeline": (
        b"ms {k}7 1 q\r\nx\r\n" + b"".join(b"mg {k}%d v q O%d\r\n" % (n, n) for n in range(20)),
    ),
    # Pipelines, mixed with the classic commands.
    "mn": (b"mn\r\n", b"mn\r\nmn\r\nmn\r\n"),
    "mixed": (
        b"set {k} 3 0 1\r\n5\r\nmg {k} v f\r\nincr {k} 2\r\nma {k} v\r\nget {k}\r\nms {k} 1 MA\r\n0\r\n"
        b"get {k} {k}x {k}\r\n"
        b"md {k} q\r\ndelete {k}\r\nmg {k} k\r\nversion\r\n",
    ),
    "mixed, nobody answers": (
        b"set {k} 0 0 1 noreply\r\n5\r\nms {k} 1 q\r\n6\r\nincr {k} 1 noreply\r\nma {k} q\r\ntouch {k} 0 noreply\r\n"
        b"mg {k}x q\r\n"
        b"delete {k}x noreply\r\nmg {k} v\r\n",
    ),
    "mixed with mistakes": (
        b"mg {k} Z\r\nms {k} 3 MX\r\nabc\r\nbogus\r\nms {k} 3 q\r\nabc\r\n"
        b"mg {k} v v\r\nmd {k} Cx\r\nma {k} q\r\nmg {k} v\r\n",
    ),
    "200 at once": (
        b"".join(b"ms {k}%d 4 k q\r\n%04d\r\n" % (n, n) for n in range(100))
        + b"".join(b"mg {k}%d v k s\r\n" % n for n in range(100)),
    ),
    "flush_all and meta": (b"ms {k} 1\r\nx\r\n", b"flush_all\r\nmg {k} v\r\nms {k} 1 ME\r\ny\r\n", b"mg {k} v\r\n"),
}
