"""SCRAM, the server's side (RFC 5802, RFC 7677), with and without channel binding.

    EMPTY   --client-first--> SALTED    the answer: nonce, salt and iteration count
    SALTED  --client-final--> PROVED    a Proof is asked for, right or wrong
    PROVED  --accepted------> SIGNED    the answer: the server's signature, `v=...`
    SIGNED  --an empty step-> OVER      Success

Whatever doesn't fit its state ends the exchange. A wrong proof takes the same way as the right one up to the Proof, and
an unknown user the same as a known one, with the stand-in that the lookup gives: neither messages nor their number tell
who exists. The formulas are those of RFC 5802 section 3.
"""

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final

from mcproxy.auth.credentials import Malformed
from mcproxy.auth.mechanisms import OUT_OF_PLACE, Challenge, Failure, Outcome, Success
from mcproxy.auth.principals import Principal
from mcproxy.auth.scram_messages import ClientFinal, ClientFirst, client_final, client_first
from mcproxy.auth.steps import Proof
from mcproxy.auth.users import MOST_SECRETS
from mcproxy.auth.verifiers import HASHES, Verifier

PLUS: Final = "-PLUS"
BINDING_TYPE: Final = "tls-server-end-point"

_NONCE_BYTES: Final = 24

Lookup = Callable[[str, str], Sequence[Verifier]]
"""The verifiers of a user for a mechanism (without "-PLUS"), newest first and at least one, with one salt and iteration
count for all; stand-ins for a user who doesn't exist."""


def random_nonce() -> str:
    """A server's part of the nonce: 24 random bytes, printable and without a comma."""
    return secrets.token_urlsafe(_NONCE_BYTES)


class State(Enum):
    EMPTY = auto()
    SALTED = auto()
    PROVED = auto()
    SIGNED = auto()
    OVER = auto()


class Scram:
    """One exchange. `name` is the mechanism's; `binding` the tls-server-end-point of this connection, for -PLUS alone.

    `plus_offered`: one with -PLUS was offered too, so a client that says it saw none was lied to.
    """

    def __init__(
        self,
        name: str,
        lookup: Lookup,
        *,
        binding: bytes | None = None,
        plus_offered: bool = False,
        make_nonce: Callable[[], str] = random_nonce,
    ) -> None:
        self.name = name
        self._base = name.removesuffix(PLUS)
        self._hash = HASHES[self._base]
        if name.endswith(PLUS) is not bool(binding):
            raise ValueError("channel binding data is for the -PLUS mechanisms, and they need it")
        self._lookup = lookup
        self._binding = binding
        self._plus_offered = plus_offered
        self._make_nonce = make_nonce
        self._state = State.EMPTY
        self._username = ""
        self._nonce = ""
        self._header = b""
        self._messages = b""
        self._verifiers: Sequence[Verifier] = ()
        self._signature = b""

    def start(self, response: bytes | None) -> Outcome:
        return Challenge(b"") if response is None else self.step(response)

    def step(self, response: bytes) -> Outcome:
        state, self._state = self._state, State.OVER
        if state is State.EMPTY:
            return self._salt(client_first(response))
        if state is State.SALTED:
            return self._prove(client_final(response))
        if state is State.SIGNED and not response:
            return Success(Principal("user", self._username))
        return OUT_OF_PLACE

    def accepted(self) -> Outcome:
        state, self._state = self._state, State.OVER
        if state is not State.PROVED or not self._signature:
            return OUT_OF_PLACE
        self._state = State.SIGNED
        return Challenge(b"v=" + b64encode(self._signature))

    def _salt(self, first: ClientFirst | Malformed) -> Outcome:
        if isinstance(first, Malformed):
            return Failure(first.reason)
        problem = self._binding_problem(first)
        if problem:
            return Failure(problem)
        newest, *others = self._lookup(first.username, self._base)
        if any((other.salt, other.iterations) != (newest.salt, newest.iterations) for other in others):
            raise ValueError("the verifiers of one user and mechanism must have one salt and iteration count")
        self._verifiers = (newest, *others)
        self._username = first.username
        self._header = first.header
        self._nonce = first.nonce + self._make_nonce()
        answer = b"r=%s,s=%s,i=%d" % (self._nonce.encode(), b64encode(newest.salt), newest.iterations)
        self._messages = first.bare + b"," + answer
        self._state = State.SALTED
        return Challenge(answer)

    def _binding_problem(self, first: ClientFirst) -> str | None:
        """RFC 5802 section 6."""
        if self._binding is None:
            if first.flag == "p":
                return "channel binding on a mechanism without it"
            if first.flag == "y" and self._plus_offered:
                return "the client saw no mechanism with channel binding, though one was offered"
        elif first.flag != "p":
            return "no channel binding on a mechanism that has it"
        elif first.binding != BINDING_TYPE:
            return f"a channel binding other than {BINDING_TYPE}"
        return None

    def _prove(self, final: ClientFinal | Malformed) -> Outcome:
        if isinstance(final, Malformed):
            return Failure(final.reason)
        if final.nonce != self._nonce:
            return Failure("the nonce is not this exchange's")
        if not hmac.compare_digest(final.binding, b64encode(self._header + (self._binding or b""))):
            return Failure("the channel binding is not this connection's")
        if len(final.proof) != hashlib.new(self._hash).digest_size:
            return Failure("the proof has another hash's length")
        matched = self._matching(final.proof, self._messages + b"," + final.unproved)
        self._state = State.PROVED
        return Proof(self._username, self.name, None if matched is None else matched.identity)

    def _matching(self, proof: bytes, message: bytes) -> Verifier | None:
        """The verifier whose secret this proves. All are tried, and one as often as two, so that time tells nothing."""
        matched: Verifier | None = None
        verifiers = [*self._verifiers, *[self._verifiers[0]] * (MOST_SECRETS - len(self._verifiers))]
        for verifier in verifiers:
            signature = hmac.digest(verifier.stored_key, message, self._hash)
            client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
            if hmac.compare_digest(hashlib.new(self._hash, client_key).digest(), verifier.stored_key):
                matched = matched or verifier
        counted = matched or verifiers[0]
        signature = hmac.digest(counted.server_key, message, self._hash)
        self._signature = signature if matched is not None else b""
        return matched
