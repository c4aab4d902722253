"""Lists of addresses and ways to log in that let in more than is meant."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from mcproxy.config.schema import Listener
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.doors import may_be_elsewhere
from mcproxy.doctor.memcached_process import user_of
from mcproxy.doctor.path_modes import Lapse, Who, readable
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok
from mcproxy.doctor.who_may import who_may
from mcproxy.policy.allowlist import Network, canonical_network

WIDEST_PUBLIC = {4: 16, 6: 32}
"""Prefix lengths. Few have a network of their own that is larger; a provider's is shared with its other customers."""
WIDEST_PRIVATE = {4: 12, 6: 32}
_CARRIERS = IPv4Network("100.64.0.0/10")
_CHANGES = ("write", "delete", "counter", "flush")
_LIST_THEM = "list the networks that clients are in, and those alone"


def allowlists(deployment: Deployment) -> list[Result]:
    """Of each listener: `allow`, and the balancers that may claim any address."""
    results: list[Result] = []
    for name, listener in deployment.settings.listeners.items():
        subject = f"listener {name}"
        if listener.is_unix:
            continue
        found = [*_wide(subject, "allow", listener.allow), *_wide(subject, "proxy_protocol", listener.proxy_protocol)]
        if not found:
            lists = ", ".join(map(str, listener.allow)) or "nobody"
            found = [ok(subject, f"admits {lists}")]
        results += found
    return results or [ok("listeners", "none is on the network")]


def _wide(subject: str, key: str, networks: list[Network]) -> Iterator[Result]:
    halves = {1: 0}
    for network in map(canonical_network, networks):
        if network.is_loopback:
            continue
        halves[network.prefixlen] = halves.get(network.prefixlen, 0) + 1
        kind = _kind(network)
        if network.prefixlen == 0 or (network.prefixlen == 1 and halves[1] > 1):
            seen = f"{key} has {network}: that is every address of IPv{network.version}"
            yield finding(subject, seen, _LIST_THEM)
        elif kind == "public":
            if network.prefixlen < WIDEST_PUBLIC[network.version]:
                seen = f"{key} has {network}: {_size(network)} public addresses, most of them surely of others"
                yield finding(subject, seen, _LIST_THEM)
        elif network.prefixlen < WIDEST_PRIVATE[network.version]:
            yield note(subject, f"{key} has {network}: {_size(network)} {kind} addresses", _LIST_THEM)


def _kind(network: IPv4Network | IPv6Network) -> str:
    if isinstance(network, IPv4Network) and network.subnet_of(_CARRIERS):
        return "shared (RFC 6598: a carrier's customers, and some clouds' pods)"
    if network.is_multicast:
        return "multicast"
    if network.is_reserved and network.is_private:
        return "reserved"
    return "private" if network.is_private or network.is_link_local else "public"


def _size(network: IPv4Network | IPv6Network) -> str:
    return f"{network.num_addresses:,}" if network.version == 4 else f"2^{128 - network.prefixlen}"


def ways_in(deployment: Deployment) -> list[Result]:
    """Who needs no password and no certificate: by the address alone, or as anonymous."""
    results: list[Result] = []
    for name, listener in deployment.settings.listeners.items():
        results += list(_ways_in(f"listener {name}", listener, deployment))
    return results


def _ways_in(subject: str, listener: Listener, deployment: Deployment) -> Iterator[Result]:
    settings = deployment.settings
    methods = listener.authentication
    if methods == ["none"]:
        can = f"as anonymous, with {', '.join(settings.default_roles) or 'no role'}"
        if not listener.is_unix and any("*" in settings.roles[name].keys for name in settings.default_roles):
            seen = f"every process of this machine is let in without a login ({can})"
            yield finding(subject, seen, "use a unix socket with authentication: [peer], or ask for a login")
        else:
            who = "whoever can open the socket" if listener.is_unix else "every process of this machine"
            yield note(subject, f"{who} is let in without a login ({can})")
        return
    granted = [grant for grant in settings.grants if grant.address is not None]
    if "address" in methods and may_be_elsewhere(listener) and granted:
        named = ", ".join(dict.fromkeys(f"{grant.address} as {grant.as_}" for grant in granted[:5]))
        seen = f"an address is all that is asked of {named}"
        remedy = "give these clients a certificate or a password; or see that the network vouches for its addresses"
        yield finding(
            subject, seen, remedy, "every process of those machines, and whoever can take their address, is let in"
        )
    else:
        yield ok(subject, f"asks for {', '.join(methods)}")


def pass_words(deployment: Deployment) -> list[Result]:
    """How hard the users file's verifiers are to guess from, and passwords that lie in files in clear text."""
    from mcproxy.auth.verifiers import DEFAULT_ITERATIONS

    settings = deployment.settings
    weak: dict[str, int] = {}
    old: dict[str, None] = {}
    for name, verifier in deployment.users.lines():
        if verifier.iterations < LEAST_ITERATIONS:
            weak[name] = verifier.iterations
        if verifier.mechanism == "SCRAM-SHA-1":
            old[name] = None
    results: list[Result] = []
    if weak:
        least = min(weak.values())
        seen = f"{_some(list(weak))}: as few as {least} iterations, and {DEFAULT_ITERATIONS} are usual"
        results.append(
            finding("users file", seen, f"mcproxy user passwd NAME --iterations {DEFAULT_ITERATIONS}", _GUESSED)
        )
    if old:
        results.append(note("users file", f"{_some(list(old))}: SCRAM-SHA-1, an old hash", "mcproxy user passwd NAME"))
    if settings.users_file is not None and not results:
        results.append(ok("users file", f"verifiers of {len(deployment.users)} users, none of them weak"))
    for name, upstream in settings.all_upstreams.items():
        login = upstream.login
        if login is not None and login.password_file is not None:
            seen = f"the password for it is in {login.password_file} in clear text, as it has to be"
            results.append(note(f"upstream {name}", seen, "keep it out of backups"))
        listed = deployment.upstreams[name].settings.get("auth_enabled_ascii", "no")
        if listed != "no":
            here = deployment.is_here(upstream)
            results += _kept_by_memcached(f"upstream {name}", Path(listed), user_of(deployment.upstreams[name]), here)
    return results or [ok("passwords", "there are none")]


def _kept_by_memcached(subject: str, path: Path, user: int | None, here: bool) -> Iterator[Result]:
    """The file of memcached's -Y, judged as a secret if it is here; `user` is memcached's, if that can be seen."""
    seen = f"memcached keeps passwords in {path} in clear text (-Y)"
    lapses: list[Lapse] = []
    if here and path.is_absolute():
        try:
            lapses = list(readable(path, frozenset() if user is None else frozenset({user})))
        except FileNotFoundError:
            pass  # in its container, perhaps
        except OSError as error:
            yield could_not_tell(
                subject, f"who can read {path}, with memcached's passwords: {error.strerror}", _AS_ROOT
            )
            return
    for lapse in lapses:
        if lapse.who is Who.EVERYBODY or user is not None:
            remedy = lapse.remedy if lapse.who is Who.EVERYBODY else _MEMCACHEDS_OWN
            yield finding(subject, f"{seen}, and {lapse.words}", remedy)
        else:
            yield could_not_tell(subject, f"{seen}; {lapse.words}: whether that is memcached's user", _AS_ROOT)
    if not lapses:
        yield note(subject, seen, "see that only memcached's user can read it, and keep it out of backups")


_AS_ROOT = "run this as root"
_MEMCACHEDS_OWN = "give the file to memcached's user, or to a group in which nobody else is"
LEAST_ITERATIONS = 10_000
"""Below, a stolen users file gives its passwords away too soon. RFC 7677 asks for 4096 at least; that was 2015."""
_GUESSED = "who gets hold of the users file guesses passwords as fast as their verifiers allow"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"


def grants(deployment: Deployment) -> list[Result]:
    """Roles that may do everything, commands that touch all keys, and users with nothing."""
    settings = deployment.settings
    results: list[Result] = []
    admins = who_may(settings, "admin")
    if admins:
        seen = f"{', '.join(admins)} may change memcached's own settings and stop it (class admin)"
        results.append(
            finding("grants", seen, "take admin out of their roles; from the machine itself it is always there")
        )
    if settings.default_roles:
        results.append(note("grants", f"every user of the users file has {', '.join(settings.default_roles)}"))
    for command_class, can in (("flush", "may empty the cache"), ("stats", "may read memcached's statistics")):
        if named := who_may(settings, command_class):
            results.append(note("grants", f"{', '.join(named)} {can} (class {command_class})"))
    if named := who_may(settings, *_CHANGES, every_key=True):
        results.append(
            note("grants", f"{', '.join(named)} may change every key", "give each its own prefix, where clients allow")
        )
    granted = {grant.user for grant in settings.grants}
    idle = [name for name in deployment.users.names() if name not in granted]
    if idle and not settings.default_roles:
        seen = f"{_some(idle)} may log in, and do nothing"
        results.append(note("users file", seen, "grant them a role, or: mcproxy user remove NAME"))
    return results or [ok("grants", "nobody may do everything")]
