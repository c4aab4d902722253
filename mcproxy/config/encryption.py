"""How a port is encrypted, in a few words: for `check` and for the status page."""

from __future__ import annotations

from mcproxy.config.schema import Admin, Listener


def listener_encryption(listener: Listener) -> str:
    """Such as `TLS 1.2 or newer, client certificate required`."""
    if listener.tls is None:
        return "no TLS"
    asked = f", client certificate {listener.tls.client_certificate}" if listener.tls.client_ca else ""
    revoked = ", revocation lists" if listener.tls.crl else ""
    return f"TLS {listener.tls.minimum_version} or newer{asked}{revoked}"


def admin_access(admin: Admin) -> str:
    """As listener_encryption, and what has to be shown beside that."""
    encryption = "no TLS" if admin.tls is None else f"TLS {admin.tls.minimum_version} or newer"
    certificate = ", client certificate required" if admin.tls is not None and admin.tls.client_ca is not None else ""
    return f"{encryption}{certificate}{', token required' if admin.token_file is not None else ''}"
