"""Holds logins to an upstream against servers: our own conversations, and answers that a test makes up."""

from collections.abc import Callable, Iterator

from mcproxy.auth.conversation import Conversation
from mcproxy.auth.steps import Attempt, LoggedIn, Proof, Reply
from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.exchange import UpstreamLogin
from mcproxy.auth.upstream.login import upstream_login
from tests.support.packets import HEADER
from tests.unit.auth.holding import USERS

SECRET = "secret"
"""Of sammy. No exception and no repr may show it, nor what it was made into."""

Tamper = Callable[[bytes], bytes]


class Unanswered(Exception):
    """Each side waits for the other."""


def begin(mechanism, protocol="binary", user="sammy", password=SECRET, binding=None) -> UpstreamLogin:
    return upstream_login(protocol, Credentials(mechanism, user, password), binding)


def serve(conversation: Conversation, sent: bytes) -> tuple[bytes, LoggedIn | None]:
    """What the server's side says to it, and the login that came of it."""
    said = b""
    conversation.feed(sent)
    while (step := conversation.next()) is not None:
        match step:
            case Reply():
                said += step.data
            case Attempt():
                conversation.answer(USERS.get(step.username) == step.password)
            case Proof():
                conversation.answer(step.secret is not None)
            case LoggedIn():
                return said, step
    return said, None


def play(
    login: UpstreamLogin,
    conversation: Conversation,
    *,
    size: int = 1 << 16,
    tamper: Tamper = lambda said: said,
) -> LoggedIn | None:
    """Until the login is done; raises Unanswered if nothing more comes.

    Bytes come to either side in pieces of `size`; `tamper` changes the server's.
    """
    message = login.start()
    while True:
        if not message:
            raise Unanswered
        said, logged_in = b"", None
        for piece in cut(message, size):
            assert logged_in is None
            more, logged_in = serve(conversation, piece)
            said += more
        message = b""
        for piece in cut(tamper(said), size):
            assert not message, "it goes on before the whole answer came"
            message = login.receive(piece)
        if login.done:
            assert message == b""
            return logged_in


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def fails(login: UpstreamLogin, *answers: bytes) -> str:
    """The sentence with which these answers end the login. It must not be done, now or later, nor tell a secret."""
    login.start()
    return ends(login, *answers)


def ends(login: UpstreamLogin, *answers: bytes) -> str:
    """As `fails`, for one that has begun."""
    *before, last = answers
    for answer in before:
        login.receive(answer)
        assert not login.done
    try:
        login.receive(last)
    except (LoginRefused, UpstreamConfused) as refused:
        assert refused.__cause__ is None and refused.__context__ is None, "what led to it may hold a secret"
        shown = f"{refused!r} {login!r} {vars(login)!r}"
        assert SECRET not in shown, shown
        assert not login.done
        late = reply(0, b"Authenticated")
        try:
            login.receive(late)
        except UpstreamConfused:
            assert not login.done
        else:
            raise AssertionError("it goes on after its end")
        return str(refused)
    raise AssertionError("nothing was raised")


def reply(status: int, body: bytes = b"", *, opcode: int = 0x21, number: int = 1, **more: int) -> bytes:
    """A frame that answers the login's message of that number; the fields of its header can be made to lie."""
    fields = {
        "magic": 0x81,
        "key": 0,
        "extras": 0,
        "data_type": 0,
        "length": len(body),
        "opaque": 0x6D630000 + number,
        **more,
    }
    return (
        HEADER.pack(
            fields["magic"],
            opcode,
            fields["key"],
            fields["extras"],
            fields["data_type"],
            status,
            fields["length"],
            fields["opaque"],
            0,
        )
        + body
    )


def step_reply(status: int, body: bytes = b"", number: int = 2) -> bytes:
    return reply(status, body, opcode=0x22, number=number)


def sent_data(message: bytes) -> bytes:
    """What a frame of ours says, without header and the mechanism's name."""
    return message[HEADER.size + int.from_bytes(message[2:4], "big") :]
