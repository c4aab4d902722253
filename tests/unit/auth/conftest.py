"""An authenticator whose hash costs nothing, and can be held."""

import pytest

from mcproxy.auth.throttle import Throttle
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.authenticator import Authenticator
from tests.unit.auth.checking import Hash, users_of


@pytest.fixture
def hashing():
    stub = Hash()
    yield stub
    stub.release()


@pytest.fixture
def authenticator(hashing):
    return Authenticator(users_of(sammy="secret", alex="other"), LocalAttempts(Throttle()), match=hashing)
