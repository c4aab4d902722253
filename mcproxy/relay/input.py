"""What a client has sent and the parser could not take yet."""


class Input:
    """Bytes `kept` until a frame is whole or the session may go on, and how many are to be forgotten (`to_swallow`)."""

    __slots__ = ("_until_newline", "_wanted", "kept", "to_swallow")

    def __init__(self) -> None:
        # One buffer, not a list of pieces: a piece of one byte would take forty bytes of memory.
        self.kept = bytearray()
        self.to_swallow = 0
        self._wanted = 0
        self._until_newline = False

    @property
    def empty(self) -> bool:
        """Nothing is kept and nothing is to be forgotten."""
        return not self.kept and not self.to_swallow

    def keep(self, data: bytes) -> None:
        """Keep bytes that the session can't look at yet."""
        self._wanted = 0
        self.kept += data

    def expect(self, data: bytes, wanted: int, until_newline: bool) -> None:
        """Keep the beginning of a frame that is whole with `wanted` bytes, or with a line end."""
        self.kept += data
        self._wanted = wanted
        self._until_newline = until_newline

    def add(self, data: bytes) -> bool:
        """Add what was received; True if it is worth looking at the whole again.

        Only then: a frame that comes in byte by byte would otherwise be looked at for every byte.
        """
        if self.to_swallow:
            skipped = min(self.to_swallow, len(data))
            self.to_swallow -= skipped
            data = data[skipped:]
            if not data:
                return False
        self.kept += data
        return len(self.kept) >= self._wanted or (self._until_newline and b"\n" in data)

    def take(self) -> bytes:
        """Everything that is kept."""
        data = bytes(self.kept)
        self.kept.clear()
        self._wanted = 0
        self._until_newline = False
        return data
