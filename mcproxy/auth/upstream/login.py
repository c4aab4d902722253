"""Logging in to an upstream: who we are is proved here, byte by byte, before a link is given to anybody.

A login is sans-I/O: send what `start` gives, hand what comes back to `receive`, send what that gives, until `done`.
One mechanism is configured and no other is ever tried, so nobody in between can talk us down to a weaker one.
"""

from typing import Final

from mcproxy.auth.upstream.choice import begin
from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.exchange import UpstreamLogin
from mcproxy.auth.upstream.fitness import credentials_problem
from mcproxy.auth.upstream.sasl_binary import BinarySaslLogin
from mcproxy.auth.upstream.sasl_text import TextSaslLogin
from mcproxy.auth.upstream.token import TokenLogin

__all__ = ["PROTOCOLS", "LoginRefused", "UpstreamConfused", "UpstreamLogin", "credentials_problem", "upstream_login"]

PROTOCOLS: Final = ("text", "binary")


def upstream_login(protocol: str, credentials: Credentials, channel_binding: bytes | None = None) -> UpstreamLogin:
    """A login that has not begun, over one link in `protocol`, "text" or "binary".

    `channel_binding` is the tls-server-end-point (RFC 5929 section 4) of the certificate that upstream showed on this
    very link; the -PLUS mechanisms need it and the others take no notice. Raises LoginRefused when no login can be made
    of these (see `credentials_problem`), ValueError for another protocol.
    """
    if protocol not in PROTOCOLS:
        raise ValueError("the protocol must be text or binary")
    problem = credentials_problem(protocol, credentials)
    if problem:
        raise LoginRefused(problem)
    if credentials.mechanism is None:
        return TokenLogin(credentials)
    mechanism = begin(credentials, channel_binding)
    return BinarySaslLogin(mechanism) if protocol == "binary" else TextSaslLogin(mechanism)
