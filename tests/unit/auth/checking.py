"""What tests of the authenticator check with: users, verdicts, and a hash that costs nothing."""

import hashlib
import threading

import trio

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import Verifier
from mcproxy.server.authenticator import Verdict

HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"
SOON = 5.0
ACCEPTED = Verdict(accepted=True, known=True)
WRONG = Verdict(accepted=False, known=True, reason="wrong user name or password")
UNKNOWN = Verdict(accepted=False, known=False, reason="wrong user name or password")
SLOWED = Verdict(accepted=False, known=True, reason="too many failed logins")
SLOWED_UNKNOWN = Verdict(accepted=False, known=False, reason="too many failed logins")
BUSY = Verdict(accepted=False, known=True, reason="too many logins are waiting to be checked")
LATE = Verdict(accepted=False, known=True, reason="not checked before the login deadline")


def verifier_of(password, iterations=4096):
    """A verifier as the stub below reads it: the stored key is the password's SHA-256."""
    return Verifier("SCRAM-SHA-256", iterations, bytes(16), hashlib.sha256(password.encode()).digest(), bytes(32))


def users_of(**passwords):
    return Users([(name, verifier_of(password)) for name, password in passwords.items()])


class Hash:
    """Stands in for the hash. Keeps what it was asked; waits while `held`."""

    def __init__(self):
        self.asked = []
        self.most_at_once = 0
        self._at_once = 0
        self._changed = threading.Condition()
        self._go = threading.Event()
        self._go.set()

    def hold(self):
        self._go.clear()

    def release(self):
        self._go.set()

    async def begun(self, number):
        """Returns when so many were begun; a task that is blocked on a thread says nothing about the thread."""

        def wait():
            with self._changed:
                assert self._changed.wait_for(lambda: len(self.asked) >= number, 10), self.asked

        await trio.to_thread.run_sync(wait)

    def __call__(self, verifiers, password):
        with self._changed:
            self.asked.append((verifiers, password))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
        assert self._go.wait(10), "the test never let go"
        with self._changed:
            self._at_once -= 1
        key = hashlib.sha256(password.encode()).digest()
        return next((verifier for verifier in verifiers if verifier.stored_key == key), None)
