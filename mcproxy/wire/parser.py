"""What every parser has in common."""

from mcproxy.compiling import mypyc_attr
from mcproxy.wire.outcome import LogInAgain, Pending, Refusal
from mcproxy.wire.requests import Request


@mypyc_attr(allow_interpreted_subclasses=True)
class Parser:
    """Cuts one client's bytes into frames.

    After `next`, `end` is where the frame ended in `data`. Where it is incomplete, `needed` is the length that `data`
    must have before it is worth asking again; `until_newline`: or a line end must have come. `cutting`: more pieces of
    the frame before are to be asked for.
    """

    def __init__(self) -> None:
        self.end = 0
        self.needed = 0
        self.until_newline = False
        self.cutting = False

    @property
    def continuing(self) -> bool:
        """Whether the next call goes on with the frame before: more pieces of it, or the end of a swallowed block."""
        return False

    def next(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending | LogInAgain:
        """The frame at `position`. `room` is how many more answers may be in flight."""
        raise NotImplementedError
