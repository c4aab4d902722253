"""The token login of memcached's text protocol (memcached -Y, protocol.txt "Authentication").

    version\\r\\n                                           CLIENT_ERROR unauthenticated\\r\\n
    set mcproxy 0 0 <bytes>\\r\\n<user> <password>\\r\\n     STORED\\r\\n

A memcached without -Y would store the token as data, where whoever knows the key can read it, and answer STORED all the
same. So the token goes up only once upstream has refused something harmless for want of a login. Each answer is waited
for: 1.6.18 loses replies to what is sent along with a login (protocol.md, seen).
"""

from typing import Final

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.exchange import UpstreamLogin
from mcproxy.auth.upstream.lines import taken_line

UNAUTHENTICATED: Final = b"CLIENT_ERROR unauthenticated\r\n"
AUTHENTICATION_FAILURE: Final = b"CLIENT_ERROR authentication failure\r\n"
STORED: Final = b"STORED\r\n"


class TokenLogin(UpstreamLogin):
    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials
        self._refused_once = False

    def _first(self) -> bytes:
        return b"version\r\n"

    def _advance(self) -> bytes | None:
        line = taken_line(self._buffer)
        if line is None:
            return None
        if not self._refused_once:
            if line != UNAUTHENTICATED:
                raise UpstreamConfused("it asks for no login and would store the token as data; memcached needs -Y")
            self._refused_once = True
            token = f"{self._credentials.username} {self._credentials.password}".encode()
            return b"set mcproxy 0 0 %d\r\n%s\r\n" % (len(token), token)
        if line == STORED:
            return b""
        if line == AUTHENTICATION_FAILURE:
            raise LoginRefused("it refuses the user or the password")
        raise UpstreamConfused("its answer to the token is none that memcached has")
