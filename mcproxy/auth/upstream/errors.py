"""How a login to an upstream ends badly. The words are fixed sentences about upstream ("it"): never anything that it
sent, and never a secret, so they may stand in logs and replies."""


class LoginRefused(Exception):
    """Upstream says no, or what we have to log in with can't be sent at all."""


class UpstreamConfused(ValueError):
    """Upstream said something that no login allows, or could not prove that it knows the password."""
