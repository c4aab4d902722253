"""What a client has sent and the parser could not take yet."""


class Input:
    """`size` bytes kept until a frame is whole or the session may go on; and a data block that is being swallowed."""

    __slots__ = ("_pieces", "_swallow", "_until_newline", "_wanted", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0
        self._wanted = 0
        self._until_newline = False
        self._swallow = 0

    @property
    def empty(self) -> bool:
        """Nothing is kept and nothing to be swallowed."""
        return not self._pieces and not self._swallow

    def keep(self, data: bytes) -> None:
        """Keep bytes that the session can't look at yet."""
        self._wanted = 0
        self._pieces.append(data)
        self.size += len(data)

    def expect(self, data: bytes, wanted: int, until_newline: bool) -> None:
        """Keep the beginning of a frame that is whole with `wanted` bytes, or with a line end."""
        self.keep(data)
        self._wanted = wanted
        self._until_newline = until_newline

    def swallow(self, size: int) -> None:
        """Forget the next `size` bytes."""
        self._swallow = size

    def add(self, data: bytes) -> bool:
        """Add what was received; True if it is worth looking at the whole again.

        Pieces are joined only then: a frame that comes in byte by byte would otherwise be copied for every byte.
        """
        if self._swallow:
            skipped = min(self._swallow, len(data))
            self._swallow -= skipped
            data = data[skipped:]
            if not data:
                return False
        self._pieces.append(data)
        self.size += len(data)
        return self.size >= self._wanted or (self._until_newline and b"\n" in data)

    def take(self) -> bytes:
        """Everything that is kept."""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        self._wanted = 0
        self._until_newline = False
        return data
