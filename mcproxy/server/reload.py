"""Reloading: by SIGHUP and when files change, they are read and checked whole; then all of it is used, or none.

One process and the parent of several do this alike; what is done with what was read is for them to say (`Apply`).
"""

import os
import secrets
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from mcproxy.auth.users import STAND_IN_KEY_LENGTH
from mcproxy.config.changes import changed_parts, needs_restart, workers_of
from mcproxy.config.fingerprints import ServedFiles
from mcproxy.config.load import Reading
from mcproxy.config.look import Look, look
from mcproxy.config.material import Material
from mcproxy.config.notes import notes_of
from mcproxy.config.problems import ConfigurationError, Finding, Problem
from mcproxy.config.schema import Settings
from mcproxy.config.source import PASSING, NotReadNow, can_be_read_again, read_text
from mcproxy.config.stand_in import offers_scram, stand_in_key
from mcproxy.files.stand_in_key import StandInKeyError, read_stand_in_key, stand_in_key_path
from mcproxy.observe import log
from mcproxy.observe.reloads import Reloads
from mcproxy.server.generation import generation_of
from mcproxy.server.loading import in_thread
from mcproxy.server.state import Generation
from mcproxy.server.watching import watch

MOST_LINES = 20
"""Of one failed reload, in the log. `mcproxy check` tells all."""
_TRIES = 5
FIRST_RETRY = 1.0
"""Seconds after which it is tried again to read what could not be read for want of something else than right files: of
descriptors, or of a program without bugs. Doubles at each try, up to LONGEST_RETRY."""
LONGEST_RETRY = 60.0
COMPARING = 1.0
"""Seconds that it may take to compare secrets with the files on disk, for /status.json."""

_log = log.get_logger()
Apply = Callable[[Material, Generation], Awaitable[dict[str, object]]]
"""Serves this from now on; returns what the log is to say of it. What is served already has its sessions looked at."""


@dataclass
class Loaded:
    """What was read and checked, and how the files were then. `again`: the configuration can be read again.

    `notes` are of what it says and is hardly meant; `files` are for /status.json.
    """

    material: Material
    generation: Generation
    look: Look
    digests: dict[str, bytes]
    files: ServedFiles
    notes: list[str]
    again: bool


def load_first(path: Path) -> Loaded:
    """What is served at first. Raises ConfigurationError with everything that is wrong."""
    again = can_be_read_again(path)
    text = None if again else read_text(path)
    return _load(path, text, 1, stand_in_key, {}, first=True)


def _load(
    path: Path, text: str | None, number: int, key: Callable[[Settings], bytes], seen: Look, *, first: bool = False
) -> Loaded:
    """As load_first. `text` is the configuration where that can't be read; `seen` is filled in whatever happens."""
    try:
        return _of_one_state(path, text, number, key, seen, first)
    except OSError as error:  # the files themselves are told of by ConfigurationError
        if error.errno not in PASSING:
            raise
        reason = os.strerror(error.errno)
        raise NotReadNow([Problem(path, None, "", f"can't be used now: {reason}")]) from None


def _of_one_state(
    path: Path, text: str | None, number: int, key: Callable[[Settings], bytes], seen: Look, first: bool
) -> Loaded:
    """Nothing is mixed from two states of the disk: what has changed while it was read is read again."""
    material = None
    for _ in range(_TRIES):
        before = look([path])
        seen |= before
        wrong = None
        try:
            content = read_text(path, only_regular=not first) if text is None else text
            reading = Reading(content, path, stand_in_key=key)
            try:
                material = reading.material()
            finally:
                before |= reading.look
        except ConfigurationError as error:
            wrong = error
        after = look(before)
        seen |= after
        # A key that was made, or carried over, is there now.
        made = {stand_in_key_path(material.settings.users_file)} if material and material.settings.users_file else set()
        if all(after[name] == then or (then is None and name in made) for name, then in before.items()):
            if wrong is not None:
                raise wrong
            break
        material = None
    if material is None:
        raise ConfigurationError([Problem(path, None, "", "the files keep changing while they are read")])
    try:
        generation = generation_of(number, material)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in PASSING and not isinstance(error, ssl.SSLError):
            raise
        message = f"the TLS files can't be used: {error}"
        raise ConfigurationError([Problem(path, None, "listeners", message)]) from None
    try:
        notes = notes_of(material)
    except OSError as error:  # it looks at the files' permissions
        message = f"was taken away while it was read: {error.filename}"
        raise NotReadNow([Problem(path, None, "", message)]) from None
    return Loaded(material, generation, dict(seen), material.digests(), ServedFiles(material), notes, text is None)


class Reloader:
    """Knows what was loaded last. `apply` is given what is new; `around` is entered while files are read and used."""

    def __init__(
        self, loaded: Loaded, apply: Apply, around: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self.results = Reloads()
        self._loaded = loaded
        self._apply = apply
        self._around = around
        self._look = loaded.look
        self._one = trio.Lock()
        self._postponed = trio.Event()
        self._retry_in = FIRST_RETRY
        self._asked = trio.Event()
        self._scope = trio.CancelScope()
        # Of its own: it has not to wait for a reload, and where a disk hangs one thread does.
        self._comparing = trio.CapacityLimiter(1)

    def ask(self) -> None:
        """Reload soon, as SIGHUP asks: once for all who ask until it begins."""
        self._asked.set()

    async def run(self) -> None:
        """Reload when asked and when files change, until cancelled."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed)
                nursery.start_soon(self._try_again)
                nursery.start_soon(watch, self._watched, partial(self.reload, asked=False))

    async def files(self) -> list[dict[str, object]]:
        """What /status.json tells of the files whose content is served: soon, even where a disk hangs."""
        served = self._loaded.files
        with trio.move_on_after(COMPARING):
            return await trio.to_thread.run_sync(served.rows, abandon_on_cancel=True, limiter=self._comparing)
        return served.rows(compared=False)

    def stop(self) -> None:
        """The proxy is ending. What is being read is given up, what is being used is used."""
        self._scope.cancel()

    async def _heed(self) -> None:
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            await self.reload(asked=True)

    async def _try_again(self) -> None:
        """What failed although nothing is known to be wrong with the files is not given up."""
        while True:
            await self._postponed.wait()
            self._postponed = trio.Event()
            await trio.sleep(self._retry_in)
            self._retry_in = min(2 * self._retry_in, LONGEST_RETRY)
            await self.reload(asked=False)

    def _watched(self) -> Look:
        return self._look if self._loaded.material.settings.watch_files else {}

    async def reload(self, *, asked: bool) -> None:
        """Read everything and use it, or say why not. Without `asked` nothing is said if nothing has changed."""
        async with self._one:
            with self._around():
                postponed = await self._reload(asked)
            if postponed:
                self._postponed.set()
            else:
                self._retry_in = FIRST_RETRY

    async def _reload(self, asked: bool) -> bool:
        """Whether it is to be tried again although the files don't change."""
        seen: Look = {}
        postponed = False
        try:
            loaded = await in_thread(partial(self._read, seen))
        except ConfigurationError as error:
            postponed = isinstance(error, NotReadNow)
            self._failed(error.problems)
        except Exception as error:  # a bug of ours costs this reload, and not what is served
            postponed = True
            log.log_bug(error)
            path = self._loaded.material.path
            self._failed([Problem(path, None, "", f"can't be read for a bug of mcproxy: {type(error).__name__}")])
        else:
            await self._use(loaded, asked)
        finally:
            # What is wrong with the files is not looked at again until they change.
            self._look = seen or self._look
        return postponed

    def _read(self, seen: Look) -> Loaded:
        """In a thread. Raises ConfigurationError."""
        loaded = self._read_once(seen)
        settings = loaded.material.settings
        if self._key_is_missing(settings):
            # Made once all else is right, or a reload that is refused would leave it behind.
            try:
                stand_in_key(settings)
            except StandInKeyError as error:
                problem = settings.problem(Finding(("users_file",), str(error)))
                raise ConfigurationError([problem]) from None
            loaded = self._read_once(seen)
        return loaded

    def _read_once(self, seen: Look) -> Loaded:
        old = self._loaded
        path = old.material.path
        text = None if old.again else old.material.text
        number = old.generation.number + 1
        loaded = _load(path, text, number, self._stand_in_key, seen)
        material = loaded.material.with_workers(workers_of(old.material, loaded.material))
        if problems := needs_restart(old.material.settings, material.settings):
            raise ConfigurationError(problems)
        generation = replace(loaded.generation, settings=material.settings)
        return replace(loaded, material=material, generation=generation)

    def _stand_in_key(self, settings: Settings) -> bytes:
        """A key that is gone is not made anew: every unknown user would change. Raises StandInKeyError.

        Random as long as there is none; nothing is made.
        """
        old = self._loaded.material
        kept = old.stand_in_key or secrets.token_bytes(STAND_IN_KEY_LENGTH)
        if settings.users_file is None:
            return kept
        try:
            key = read_stand_in_key(settings.users_file)
        except StandInKeyError:
            if offers_scram(settings):
                raise
            return kept
        if key is None and old.settings.users_file and offers_scram(settings) and offers_scram(old.settings):
            path, before = stand_in_key_path(settings.users_file), stand_in_key_path(old.settings.users_file)
            if path == before:
                raise StandInKeyError(f"there is no file {path} any more; restore it")
            raise StandInKeyError(
                f"there is no file {path}; copy {before} there, or every unknown user changes its salt"
            )
        return kept if key is None else key

    def _key_is_missing(self, settings: Settings) -> bool:
        """Whether one has to be there from now on, and isn't yet."""
        if settings.users_file is None or not offers_scram(settings):
            return False
        return not stand_in_key_path(settings.users_file).exists()

    async def _use(self, loaded: Loaded, asked: bool) -> None:
        old = self._loaded
        names = loaded.digests.keys() | old.digests.keys()
        changed = {name for name in names if loaded.digests.get(name) != old.digests.get(name)}
        if not changed:
            if asked or not self.results.last_successful:
                # Time may have changed something: a certificate has expired, say.
                fields = await self._apply(old.material, old.generation) if asked else {}
                self.results.succeeded()
                _log.info("reloaded", generation=old.generation.number, changed="nothing", **fields)
            return
        fields = await self._apply(loaded.material, loaded.generation)
        self._loaded = loaded
        before, after = old.generation.settings, loaded.generation.settings
        if after.logging != before.logging:
            log.configure(after.logging.level, after.logging.format)
        self.results.succeeded()
        parts = changed_parts(before, after, changed)
        _log.info("reloaded", generation=loaded.generation.number, changed=", ".join(parts) or "comments", **fields)
        for note in loaded.notes:
            if note not in old.notes:
                _log.warning("configuration_note", note=note)

    def _failed(self, problems: list[Problem]) -> None:
        self.results.failed(str(problems[0]))
        for number, problem in enumerate(problems[:MOST_LINES], 1):
            _log.error(
                "reload_failed",
                problem=str(problem),
                number=number,
                problems=len(problems),
                still_serving=self._loaded.generation.number,
            )
