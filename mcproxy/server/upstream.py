"""What is noted when the links to an upstream come and go."""

from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import Metrics, UpstreamFailure
from mcproxy.relay.link_ends import ASKED_TO_LOG_IN
from mcproxy.relay.obstacle import NotOpened
from mcproxy.relay.poller import STOPPED

log = get_logger()


class UpstreamLog:
    """Tells log and metrics of one upstream's links. A failure that lasts is logged when it begins, and not again."""

    def __init__(self, metrics: Metrics, name: str, address: str) -> None:
        self._metrics = metrics
        self._name = name
        self._address = address
        self._failing: dict[str, str] = {}
        self._outdated: dict[str, int] = {}

    def link_opened(self, protocol: str) -> None:
        """A link is in service."""
        self._failing.pop(protocol, None)
        self._metrics.link_opened(self._name, protocol)
        log.info("upstream_link_opened", upstream=self._name, protocol=protocol)

    def link_lost(self, protocol: str, reason: str) -> None:
        """A link that was in service is gone."""
        self._metrics.link_closed(self._name, protocol)
        if reason == STOPPED:
            log.info("upstream_link_closed", upstream=self._name, protocol=protocol)
            return
        self._metrics.upstream_failed(self._name, _failure(reason))
        log.warning("upstream_link_lost", upstream=self._name, protocol=protocol, reason=reason)

    def link_retired(self, protocol: str) -> None:
        """A link is out of service after a reload, and ends by itself."""
        self._metrics.link_closed(self._name, protocol)
        log.info("upstream_link_retired", upstream=self._name, protocol=protocol)

    def link_failed(self, protocol: str, problem: NotOpened, wait: float) -> None:
        """A link could not be opened; the next try comes in about `wait` seconds."""
        self._metrics.upstream_failed(self._name, UpstreamFailure(problem.obstacle.step))
        reason = str(problem)
        if self._failing.get(protocol) == reason:
            return
        self._failing[protocol] = reason
        about = {"upstream": self._name, "address": self._address, "protocol": protocol, "reason": reason}
        if outdated := self._outdated.get(protocol):
            log.warning("upstream_not_renewed", **about, links_of_before=outdated)
        else:
            log.warning("upstream_unavailable", **about)

    def links_outdated(self, protocol: str, outdated: int) -> None:
        """How many links serve on with what a reload has replaced."""
        if outdated != self._outdated.get(protocol, 0):
            self._metrics.links_outdated(self._name, protocol, outdated - self._outdated.get(protocol, 0))
            self._outdated[protocol] = outdated

    def no_place(self, protocol: str, most: int) -> None:
        """A session waited in vain for a link of its own: `most` are in use."""
        self._metrics.upstream_failed(self._name, UpstreamFailure.CONNECT)
        log.warning("own_links_in_use", upstream=self._name, protocol=protocol, reason="all are in use", links=most)

    def denied(self, protocol: str) -> None:
        """Upstream has grants of its own, and its settings don't say so."""
        reason = "it denied a get, which memcached never does: write engine: mcproxy; gets go up one by one from now on"
        log.warning("upstream_has_grants", upstream=self._name, address=self._address, protocol=protocol, reason=reason)


def _failure(reason: str) -> UpstreamFailure:
    if reason == ASKED_TO_LOG_IN:
        return UpstreamFailure.LOGIN
    if reason.startswith("upstream's TLS"):
        return UpstreamFailure.TLS
    if reason.startswith("out of step"):
        return UpstreamFailure.UNEXPECTED_REPLY
    return UpstreamFailure.TIMEOUT if "timed out" in reason else UpstreamFailure.CLOSED
