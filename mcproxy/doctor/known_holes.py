"""Holes of memcached that are known, each with the releases that have it and where that is said.

What has neither a CVE nor a line in memcached's release notes is not here. `introduced` and `fixed` are memcached's own
releases; distributions mend older ones, which package_fixes.py looks for. A hole is `shielded` where nothing that this
proxy sends can reach it: only whoever gets around the proxy can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

Release = tuple[int, ...]

_NOTES = "https://github.com/memcached/memcached/wiki/ReleaseNotes"
_RECORD = "https://www.cve.org/CVERecord?id="
_VETTED = "mcproxy sends nothing but requests that it has checked and whose lengths are right"
_GRANTED = "mcproxy passes such commands for whoever has been granted them alone"
_OWN_LOGIN = "clients log in at mcproxy, and never speak to memcached's own login"


class Needs(Enum):
    """What memcached has to be started with for a hole to be there."""

    NOTHING = auto()
    UDP = auto()
    SASL = auto()
    SASL_AND_UDP = auto()
    AUTH_FILE = auto()
    PROXY_MODE = auto()


@dataclass(frozen=True, slots=True)
class Hole:
    """`introduced` is None for all releases before `fixed`. `shielded` says why mcproxy's clients can't reach it; empty
    if they can."""

    name: str
    what: str
    fixed: Release
    source: str
    introduced: Release | None = None
    needs: Needs = Needs.NOTHING
    shielded: str = ""

    def affects(self, release: Release) -> bool:
        return (self.introduced is None or self.introduced <= release) and release < self.fixed

    def is_open(self, settings: Mapping[str, str]) -> bool:
        """Whether what it needs is switched on, as `stats settings` tells it; what isn't told counts as on."""
        udp = settings.get("udpport") != "0"
        sasl = settings.get("auth_enabled_sasl") != "no"
        return {
            Needs.NOTHING: True,
            Needs.UDP: udp,
            Needs.SASL: sasl,
            Needs.SASL_AND_UDP: sasl and udp,
            Needs.AUTH_FILE: settings.get("auth_enabled_ascii") != "no",
            # Told only by a memcached that is built with it.
            Needs.PROXY_MODE: not settings or settings.get("proxy_enabled", "no") != "no",
        }[self.needs]


def _cve(name: str, what: str, fixed: Release, **more: object) -> Hole:
    return Hole(name, what, fixed, f"{_RECORD}{name}", **more)  # type: ignore[arg-type]  # checked by Hole's own tests


HOLES = (
    _cve("CVE-2013-7239", "a second wrong SASL login is let in", (1, 4, 17), needs=Needs.SASL, shielded=_OWN_LOGIN),
    _cve("CVE-2016-8704", "append and prepend packets overflow the heap", (1, 4, 33), shielded=_VETTED),
    _cve("CVE-2016-8705", "set, add and replace packets overflow the heap", (1, 4, 33), shielded=_VETTED),
    _cve("CVE-2016-8706", "SASL packets overflow the heap", (1, 4, 33), needs=Needs.SASL, shielded=_OWN_LOGIN),
    _cve("CVE-2018-1000127", "an item's count of users overflows: corrupted data, or a hang", (1, 4, 37)),
    _cve(
        "CVE-2017-9951",
        "add and set packets crash it, as CVE-2016-8705 was mended in part",
        (1, 4, 39),
        shielded=_VETTED,
    ),
    _cve("CVE-2018-1000115", "UDP is on by default, and multiplies floods", (1, 5, 6), needs=Needs.UDP),
    _cve("CVE-2019-11596", "lru mode and lru temp_ttl crash it", (1, 5, 14), shielded=_GRANTED),
    _cve(
        "CVE-2019-15026",
        "stats conns reads beyond its stack where there are unix sockets",
        (1, 5, 17),
        shielded=_GRANTED,
    ),
    Hole(
        "memcached 1.5.20",
        "UDP goes past the SASL login",
        (1, 5, 20),
        f"{_NOTES}1520",
        needs=Needs.SASL_AND_UDP,
    ),
    _cve("CVE-2020-10931", "a packet's header overflows its stack", (1, 6, 2), introduced=(1, 6, 0), shielded=_VETTED),
    _cve("CVE-2020-22570", "a wrong meta command crashes it", (1, 6, 3), introduced=(1, 6, 0), shielded=_VETTED),
    _cve("CVE-2022-48571", "a UDP datagram crashes it", (1, 6, 8), introduced=(1, 6, 0), needs=Needs.UDP),
    _cve(
        "CVE-2021-37519",
        "a damaged file of -Y overflows the heap",
        (1, 6, 10),
        needs=Needs.AUTH_FILE,
        shielded="only who writes that file can use it",
    ),
    _cve(
        "CVE-2023-46852",
        "multigets overflow a buffer of its proxy",
        (1, 6, 22),
        needs=Needs.PROXY_MODE,
        shielded=_VETTED,
    ),
    _cve(
        "CVE-2023-46853",
        "a line end without CR misleads its proxy",
        (1, 6, 22),
        needs=Needs.PROXY_MODE,
        shielded=_VETTED,
    ),
    Hole(
        "memcached 1.6.26",
        "lru_crawler metadump corrupts memory if its client leaves early",
        (1, 6, 26),
        f"{_NOTES}1626",
        shielded=_GRANTED,
    ),
    _cve(
        "CVE-2026-47783", "SASL's time tells which names there are", (1, 6, 42), needs=Needs.SASL, shielded=_OWN_LOGIN
    ),
    # Debian mended it together with the one above. What it is has not been told where we could read it: so nothing
    # counts as a shield.
    Hole(
        "CVE-2026-47784",
        "mended together with CVE-2026-47783, without more words",
        (1, 6, 42),
        "https://security-tracker.debian.org/tracker/CVE-2026-47784",
    ),
    Hole(
        "memcached 1.6.42",
        "many kinds of wrong requests crash it or corrupt memory",
        (1, 6, 42),
        f"{_NOTES}1642",
        shielded=_VETTED,
    ),
    _cve(
        "CVE-2026-90698",
        "a wrong login of -Y reads out of bounds",
        (1, 6, 44),
        introduced=(1, 6, 41),
        needs=Needs.AUTH_FILE,
        shielded=_OWN_LOGIN,
    ),
    Hole(
        "overlong keys",
        "the value that comes with a key of more than 250 bytes is run as commands",
        (1, 6, 45),  # measured: 1.6.18 does, 1.6.45 does not
        "docs/security.md",
        shielded="mcproxy refuses or digests such keys",
    ),
)
"""In the order in which they were mended."""
