"""Are files' modes and owners right: secrets unreadable, and nothing that could be changed or replaced by others?"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from mcproxy.config.addresses import UnixAddress
from mcproxy.config.material import named_files
from mcproxy.config.problems import Place, dotted
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.path_modes import Lapse, Who, changeable, replaceable
from mcproxy.doctor.running import running_user, trusted_users
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok
from mcproxy.files.stand_in_key import stand_in_key_path

_SECRET = frozenset({"key", "users_file", "password_file", "token_file"})
"""Last words of the keys that name a file nobody else may read."""


def files(deployment: Deployment) -> list[Result]:
    """The configuration, every file that it names, and the directories that lead there."""
    trusted, known = trusted_users(deployment), running_user(deployment) is not None
    results: list[Result] = []
    for what, path, secret in _files(deployment):
        try:
            lapses = [*_readable(path, secret), *changeable(path, trusted), *replaceable(path, trusted)]
        except OSError as error:
            results.append(could_not_tell(f"{what} {path}", error.strerror or "unknown", "run this as root"))
            continue
        results += [_judged(f"{what} {path}", lapse, known) for lapse in lapses]
    return results or [ok("all files", "nobody but root and the proxy's user can change them, or read what is secret")]


def _files(deployment: Deployment) -> Iterator[tuple[str, Path, bool]]:
    yield "the configuration", deployment.asked.config, False
    seen = set()
    for place, path in named_files(deployment.settings):
        if path not in seen:
            seen.add(path)
            yield dotted(place), path, _is_secret(place)
    users_file = deployment.settings.users_file
    if users_file is not None and stand_in_key_path(users_file).exists():
        yield "the key beside users_file", stand_in_key_path(users_file), True


def _is_secret(place: Place) -> bool:
    return str(place[-1]) in _SECRET


def _readable(path: Path, secret: bool) -> Iterator[Lapse]:
    """Its group may read it: that is how Kubernetes and packages give a file to the proxy."""
    mode = path.stat().st_mode
    if secret and mode & stat.S_IROTH:
        yield Lapse(Who.EVERYBODY, path, f"every user can read {path} (mode {stat.S_IMODE(mode):04o})")


def _judged(subject: str, lapse: Lapse, known: bool) -> Result:
    """`known`: it could be seen as which user the proxy runs."""
    if lapse.who is Who.OWNER:
        remedy = f"give it to root or the proxy's user: chown root {lapse.path}"
        if not known:
            return could_not_tell(
                subject, f"{lapse.words}; whether the proxy runs as that could not be seen", "run this as root"
            )
        return finding(subject, lapse.words, remedy)
    directory = lapse.path.is_dir()
    right = "go-w" if directory or lapse.who is Who.GROUP else "o="
    return finding(subject, lapse.words, f"run: chmod {right} {lapse.path}")


def sockets(deployment: Deployment) -> list[Result]:
    """The unix sockets that mcproxy itself listens on."""
    results = []
    for name, listener in deployment.settings.listeners.items():
        for address in listener.bind:
            if isinstance(address, UnixAddress):
                alone = listener.authentication == ["none"]
                results.append(_socket(f"listener {name}", Path(address.path), listener.mode, alone, deployment))
    admin = deployment.settings.admin
    for what, bound in (("admin port", admin.bind), ("health port", admin.health_bind)):
        if isinstance(bound, UnixAddress):
            results.append(_socket(what, Path(bound.path), 0o600, False, deployment))
    return results or [ok("mcproxy's own sockets", "none is a unix socket")]


def _socket(subject: str, path: Path, mode: int, unguarded: bool, deployment: Deployment) -> Result:
    try:
        has = stat.S_IMODE(path.stat().st_mode)
        problem = next(replaceable(path, trusted_users(deployment)), None)
    except FileNotFoundError:
        return could_not_tell(subject, f"there is no socket {path}", "is mcproxy running?")
    except OSError as error:
        return could_not_tell(subject, f"{path}: {error.strerror}", "run this as root")
    if problem is not None:
        seen = f"{problem.words}: whoever does can put a socket of his own in the place of {path}"
        return finding(subject, seen, f"run: chmod go-w {problem.path}")
    if has & ~mode & 0o777:
        return finding(subject, f"{path} has mode {has:04o}, wider than configured ({mode:04o})", "restart mcproxy")
    if unguarded and has & stat.S_IWOTH:
        seen = f"every user of this machine can open {path} (mode {has:04o}), and nobody has to log in"
        return finding(subject, seen, 'write mode: "0660" and a group, or have users known: authentication: [peer]')
    if has & stat.S_IWOTH:
        return note(subject, f"every user of this machine can open {path} (mode {has:04o}); a login is asked for")
    return ok(subject, f"{path} has mode {has:04o}")
