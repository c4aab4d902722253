"""The control channel: frames whole and in order, whatever the sockets take; an end for whatever is not a frame."""

import socket

import pytest
import trio

from mcproxy.workers import channel as channel_module
from mcproxy.workers.channel import Channel


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    yield Channel(one), other
    one.close()
    other.close()


async def test_frames_come_whole_and_in_order_though_the_socket_is_full(nursery):
    sender, receiver = (Channel(end) for end in socket.socketpair())
    nursery.start_soon(sender.send_forever)
    for number in range(200):
        sender.send(number, "told", "x" * 5000)
    assert sender.congested, "a megabyte fits no socket at once"
    for number in range(200):
        assert await receiver.receive() == [number, "told", "x" * 5000]
    await sender.all_sent()
    assert not sender.congested
    nursery.cancel_scope.cancel()
    sender.close()
    assert await receiver.receive() is None
    receiver.close()


async def test_a_frame_in_pieces(ends):
    channel, other = ends
    for piece in (b"[1,", b'"a"]\n[2', b',"b"]\n'):
        other.send(piece)
    assert await channel.receive() == [1, "a"]
    assert await channel.receive() == [2, "b"]


@pytest.mark.parametrize("line", [b"x\n", b"5\n", b"[1]\n", b"{}\n", b"\n", b"\xff\n"])
async def test_what_is_no_frame_is_an_end(ends, line):
    channel, other = ends
    other.send(line)
    assert await channel.receive() is None


async def test_a_line_without_an_end_is_bounded(ends, monkeypatch, nursery):
    monkeypatch.setattr(channel_module, "MOST", 100_000)
    channel, other = ends
    other.setblocking(False)
    received = []

    async def receive():
        received.append(await channel.receive())

    nursery.start_soon(receive)
    with trio.fail_after(5):
        while not received:
            try:
                other.send(b"x" * 10_000)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(other)
            await trio.lowlevel.checkpoint()
    assert received == [None]


async def test_who_takes_nothing_is_cut_off(ends, monkeypatch):
    monkeypatch.setattr(channel_module, "MOST", 500_000)
    channel, other = ends
    for number in range(1000):
        channel.send(number, "x" * 1000)
    assert not channel.congested
    other.setblocking(True)
    while other.recv(65536):
        pass
    assert await channel.receive() is None


async def test_sending_to_nobody_is_told_by_receiving(ends):
    channel, other = ends
    other.close()
    channel.send(1, "x")
    channel.send(2, "y")
    assert not channel.congested
    assert await channel.receive() is None
