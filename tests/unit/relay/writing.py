"""A client that writes more than upstream reads."""

from mcproxy.relay.link_output import UNSENT_LIMIT
from tests.unit.relay.harness import Play, Upstream

VALUE = 100_000


def assert_writers_wait(play: Play, upstream: Upstream, frames: int) -> None:
    """While upstream doesn't read, little is kept; when it does, everything arrives once and in order."""
    writer = play.client()
    frame = b"set k 0 0 %d\r\n" % VALUE + b"v" * VALUE + b"\r\n"
    writer.push(frame * frames)
    for _ in range(200):
        play.run()
        writer.push()
    assert writer.unsent, "the proxy never stopped reading"
    assert upstream.link.unsent <= UNSENT_LIMIT + 2 * len(frame)
    came = b""
    stored = 0
    for _ in range(20_000):
        came += upstream.receive()
        upstream.send(b"STORED\r\n" * (len(came) // len(frame) - stored))
        stored = len(came) // len(frame)
        writer.push()
        play.run()
        if stored == frames:
            break
    assert came == frame * frames
    assert writer.receive() == b"STORED\r\n" * frames
    assert upstream.link.unsent == 0
