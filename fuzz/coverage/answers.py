"""What upstream answers while streams are fuzzed: as in the unit tests, and administrative commands too."""

from tests.unit.wire import answering
from tests.unit.wire.answering import frames_of

ADMINISTRATION = {
    "cache_memlimit": b"OK\r\n",
    "lru": b"OK\r\n",
    "lru_crawler": b"OK\r\n",
    "refresh_certs": b"Error TLS not enabled\r\n",
    "shutdown": b"ERROR: shutdown not enabled\r\n",
    "slabs": b"OK\r\n",
    "watch": b"OK\r\n",
}
DUMPED = b"key=a exp=-1 la=0 cas=1 fetch=no cls=1 size=63\nEND\r\n"


def answer(data: bytes) -> bytes:
    """The answers to all requests in `data`. Raises NotCanonical."""
    if data.startswith(b"\x80"):
        return answering.answer(data)
    replies = []
    for frame in frames_of(data):
        if frame.raw.startswith(b"lru_crawler metadump"):
            replies.append(DUMPED)
        else:
            replies.append(ADMINISTRATION.get(frame.verb) or answering.text_reply(frame))
    return b"".join(replies)
