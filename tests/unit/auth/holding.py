"""Holds a login conversation in every way that its bytes can arrive, and requires one outcome.

`hold` feeds the same bytes whole, byte by byte and cut in two at every position (in floods of more than 400 bytes: at
every position near both ends, and at 200 between). The bounds that hold before any login (one KiB a reply, eight a
connection) are checked each time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from mcproxy.auth.conversation import Conversation
from mcproxy.auth.offer import Channel, Offer
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt, Close, LoggedIn, Proof, Reply
from mcproxy.auth.verifiers import Verifier, make_verifier, mock_verifier

USERS = {"sammy": "secret", "josé": "contraseña", "spaces": "two words"}
"""Who gets in, and with what, unless a test says otherwise."""

SALTS = {mechanism: b"salt of " + mechanism.encode() for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1")}
SERVER_NONCE = "fixed-by-the-test"


def offer(
    *names: str,
    clear: bool = True,
    binding: bytes | None = None,
    certificate: Principal | None = None,
    nonce: str = SERVER_NONCE,
) -> Offer:
    return Offer(names or ("PLAIN",), Channel(clear, binding, certificate), lookup, make_nonce=lambda: nonce)


def lookup(name: str, mechanism: str) -> list[Verifier]:
    """The verifiers of USERS, made once; who isn't one of them gets a stand-in."""
    if name not in USERS:
        return [mock_verifier(name, b"key", mechanism, 4096)]
    return [_verifier(USERS[name], mechanism)]


@cache
def _verifier(password: str, mechanism: str) -> Verifier:
    return make_verifier(password, 4096, SALTS[mechanism], mechanism)


@dataclass
class Outcome:
    """Everything that came of a conversation. `end` is None while it is open."""

    replies: list[bytes] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    attempts: list[tuple[str, str, str]] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    end: LoggedIn | Close | None = None

    @property
    def sent(self) -> bytes:
        return b"".join(self.replies)

    @property
    def closed(self) -> bool:
        return isinstance(self.end, Close)

    @property
    def logged_in(self) -> LoggedIn:
        assert isinstance(self.end, LoggedIn), self
        return self.end


def hold(begin: Callable[[], Conversation], sent: bytes, users: dict[str, str] | None = None) -> Outcome:
    users = USERS if users is None else users
    expected = _converse(begin(), [sent], users)
    ways = [[bytes([byte]) for byte in sent]]
    ways += [[sent[:cut], sent[cut:]] for cut in _cuts(len(sent))]
    for pieces in ways:
        outcome = _converse(begin(), pieces, users)
        assert outcome == expected, f"otherwise when it arrives as {[len(piece) for piece in pieces][:5]}"
    return expected


def _cuts(length: int) -> list[int]:
    if length <= 400:
        return list(range(1, length))
    between = range(100, length - 100, (length - 200) // 200 + 1)
    return [*range(1, 100), *between, *range(length - 100, length)]


def _converse(conversation: Conversation, pieces: list[bytes], users: dict[str, str]) -> Outcome:
    outcome = Outcome()
    for position, piece in enumerate(pieces):
        conversation.feed(piece)
        while (step := conversation.next()) is not None:
            assert outcome.end is None, f"{step} after the end"
            match step:
                case Reply():
                    outcome.replies.append(step.data)
                    if step.refused:
                        outcome.refusals.append(step.refused)
                    assert len(step.data) <= 1024
                    assert len(outcome.sent) <= 8192
                case Attempt():
                    outcome.attempts.append((step.username, step.password, step.mechanism))
                    assert conversation.next() is None, "went on without an answer"
                    conversation.answer(users.get(step.username) == step.password)
                case Proof():
                    outcome.proofs.append(step)
                    assert conversation.next() is None, "went on without an answer"
                    conversation.answer(step.secret is not None)
                case LoggedIn():
                    behind = step.leftover + b"".join(pieces[position + 1 :])
                    outcome.end = LoggedIn(step.principal, step.mechanism, behind, step.token)
                case Close():
                    outcome.end = step
        if outcome.end is not None:
            break
    return outcome
