"""Are files' modes and owners right: secrets unreadable, and nothing that could be changed or replaced by others?"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from mcproxy.config.addresses import UnixAddress
from mcproxy.config.material import named_files
from mcproxy.config.problems import dotted
from mcproxy.config.secret_files import is_public, secret_files
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.path_modes import Lapse, Who, changeable, readable, replaceable, user_name
from mcproxy.doctor.running import running_user, trusted_users
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok
from mcproxy.files.stand_in_key import stand_in_key_path


def files(deployment: Deployment) -> list[Result]:
    """The configuration, every file that it names, and the directories that lead there."""
    trusted, known = trusted_users(deployment), running_user(deployment) is not None
    results: list[Result] = []
    for what, path, secret in _files(deployment):
        try:
            lapses = [*(readable(path, trusted) if secret else ()), *changeable(path, trusted)]
            lapses += replaceable(path, trusted)
        except OSError as error:
            closed = isinstance(error, PermissionError)
            remedy = "run this as root" if closed else "put it right, or name another"
            results.append(could_not_tell(f"{what} {path}", error.strerror or "unknown", remedy))
            continue
        results += [_judged(f"{what} {path}", lapse, known) for lapse in lapses]
    return results or [ok("all files", "nobody but root and the proxy's user can change them, or read what is secret")]


def _files(deployment: Deployment) -> Iterator[tuple[str, Path, bool]]:
    yield "the configuration", deployment.asked.config, False
    seen = set()
    secret = secret_files(deployment.settings, deployment.material.files)
    for place, path in named_files(deployment.settings):
        if path not in seen:
            seen.add(path)
            also = " (a private key is in it)" if is_public(place) and path in secret else ""
            yield f"{dotted(place)}{also}", path, path in secret
    users_file = deployment.settings.users_file
    if users_file is not None and stand_in_key_path(users_file).exists():
        yield "the key beside users_file", stand_in_key_path(users_file), True


def _judged(subject: str, lapse: Lapse, known: bool) -> Result:
    """`known`: it could be seen as which user the proxy runs."""
    if lapse.who is not Who.EVERYBODY and not known:
        seen = f"{lapse.words}; whether that is the proxy's user could not be seen"
        return could_not_tell(subject, seen, "run this as root")
    return finding(subject, lapse.words, lapse.remedy)


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
    trusted, known = trusted_users(deployment), running_user(deployment) is not None
    try:
        status = path.stat()
        problem = next(replaceable(path, trusted), None)
    except FileNotFoundError:
        return could_not_tell(subject, f"there is no socket {path}", "is mcproxy running?")
    except OSError as error:
        return could_not_tell(subject, f"{path}: {error.strerror}", "run this as root")
    if problem is not None:
        words = f"{problem.words}: somebody else's socket can be put in the place of {path}"
        return _judged(subject, problem._replace(words=words), known)
    if status.st_uid not in trusted:
        words = f"{path} belongs to {user_name(status.st_uid)}, to whom clients would log in"
        remedy = f"see who listens there (ss -xlp src {path}), end that, and restart mcproxy"
        return _judged(subject, Lapse(Who.OWNER, path, words, remedy), known)
    has = stat.S_IMODE(status.st_mode)
    if has & ~mode & 0o777:
        return finding(subject, f"{path} has mode {has:04o}, wider than configured ({mode:04o})", "restart mcproxy")
    if unguarded and has & stat.S_IWOTH:
        seen = f"every user of this machine can open {path} (mode {has:04o}), and nobody has to log in"
        return finding(subject, seen, 'write mode: "0660" and a group, or have users known: authentication: [peer]')
    if has & stat.S_IWOTH:
        return note(subject, f"every user of this machine can open {path} (mode {has:04o}); a login is asked for")
    return ok(subject, f"{path} has mode {has:04o}")
