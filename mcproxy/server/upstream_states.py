"""From checked settings to what links to the upstreams are opened with."""

from mcproxy.config.schema import Settings
from mcproxy.server.state import UpstreamState


def upstream_states(settings: Settings, readable: Settings) -> dict[str, UpstreamState]:
    """Every upstream with its TLS context and its credentials. `readable` names files that can be opened now.

    Raises OSError for files that don't do.
    """
    return {name: UpstreamState(name, upstream, None, None) for name, upstream in settings.all_upstreams.items()}
