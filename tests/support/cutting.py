"""Ways to cut up what is sent, so that a parser meets every frame whole and in pieces."""

WAYS = ["whole", "byte by byte", "in two"]
"""The ways to cut what is sent; see `cuts`."""


def cuts(data: bytes, way: str) -> list[list[int]]:
    """The positions to cut at, a list for each time that the conversation is to be held."""
    if way == "whole":
        return [[]]
    if way == "byte by byte":
        return [list(range(1, min(len(data), 400)))]
    newline = data.find(b"\n")
    positions = {1, 4, newline - 1, newline, newline + 1, newline + 2, len(data) // 2, len(data) - 1}
    return [[position] for position in sorted(positions) if 0 < position < len(data)]


def listener_for(way: str) -> str:
    """Whole over TCP, in pieces over a unix socket: there the kernel tells cheaply when a piece has been read."""
    return "plain" if way == "whole" else "socket"
