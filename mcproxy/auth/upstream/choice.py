"""The mechanism that is configured, and no other."""

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.digest import DigestMd5
from mcproxy.auth.upstream.errors import LoginRefused
from mcproxy.auth.upstream.mechanisms import ClientMechanism
from mcproxy.auth.upstream.scram import Scram
from mcproxy.auth.upstream.simple import CramMd5, External, Plain


def begin(credentials: Credentials, channel_binding: bytes | None) -> ClientMechanism:
    """A new exchange. Raises LoginRefused for one that can't be had."""
    match credentials.mechanism:
        case "PLAIN":
            return Plain(credentials)
        case "EXTERNAL":
            return External(credentials)
        case "CRAM-MD5":
            return CramMd5(credentials)
        case "DIGEST-MD5":
            return DigestMd5(credentials)
        case str(name) if name.startswith("SCRAM-"):
            return Scram(credentials, name, channel_binding)
    raise LoginRefused("no such SASL mechanism is known")
