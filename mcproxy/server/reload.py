"""Reloading: by SIGHUP and when files change, they are read and checked whole; then all of it is used, or none.

One process and the parent of several do this alike; what is done with what was read is for them to say (`Apply`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from mcproxy.config.changes import changed_parts, needs_restart, workers_of
from mcproxy.config.load import Reading
from mcproxy.config.look import Look, look
from mcproxy.config.material import Material
from mcproxy.config.notes import notes_of
from mcproxy.config.problems import ConfigurationError, Problem
from mcproxy.config.schema import Settings
from mcproxy.config.source import can_be_read_again, read_text
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

_log = log.get_logger()
Apply = Callable[[Material, Generation], Awaitable[dict[str, object]]]
"""Serves this from now on; returns what the log is to say of it."""


@dataclass
class Loaded:
    """What was read and checked, and how the files were then. `again`: the configuration can be read again.

    `notes` are of what it says and is hardly meant.
    """

    material: Material
    generation: Generation
    look: Look
    digests: dict[str, bytes]
    notes: list[str]
    again: bool


def load_first(path: Path) -> Loaded:
    """What is served at first. Raises ConfigurationError with everything that is wrong."""
    again = can_be_read_again(path)
    text = None if again else read_text(path)
    return _load(path, text, 1, stand_in_key, {})


def _load(path: Path, text: str | None, number: int, key: Callable[[Settings], bytes], seen: Look) -> Loaded:
    """As load_first. `text` is the configuration where that can't be read; `seen` is filled in whatever happens.

    Nothing is mixed from two states of the disk: what has changed while it was read is read again.
    """
    material = None
    for _ in range(_TRIES):
        before = look([path])
        seen |= before
        reading = Reading(read_text(path) if text is None else text, path, stand_in_key=key)
        wrong = None
        try:
            material = reading.material()
        except ConfigurationError as error:
            wrong = error
        before |= reading.look
        after = look(before)
        seen |= after
        # A key that was made is there now.
        if all(then is None or after[name] == then for name, then in before.items()):
            if wrong is not None:
                raise wrong
            break
        material = None
    if material is None:
        raise ConfigurationError([Problem(path, None, "", "the files keep changing while they are read")])
    try:
        generation = generation_of(number, material)
    except (OSError, ValueError) as error:
        message = f"the TLS files can't be used: {error}"
        raise ConfigurationError([Problem(path, None, "listeners", message)]) from None
    return Loaded(material, generation, dict(seen), material.digests(), notes_of(material), text is None)


class Reloader:
    """Knows what was loaded last. `apply` is given what is new."""

    def __init__(self, loaded: Loaded, apply: Apply) -> None:
        self.results = Reloads()
        self._loaded = loaded
        self._apply = apply
        self._look = loaded.look
        self._one = trio.Lock()
        self._asked = trio.Event()
        self._scope = trio.CancelScope()

    def ask(self) -> None:
        """Reload soon, as SIGHUP asks: once for all who ask until it begins."""
        self._asked.set()

    async def run(self) -> None:
        """Reload when asked and when files change, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(self._heed)
            nursery.start_soon(watch, self._watched, partial(self.reload, asked=False))

    def stop(self) -> None:
        """The proxy is ending. What is being read is given up, what is being used is used."""
        self._scope.cancel()

    async def _heed(self) -> None:
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            await self.reload(asked=True)

    def _watched(self) -> Look:
        return self._look if self._loaded.material.settings.watch_files else {}

    async def reload(self, *, asked: bool) -> None:
        """Read everything and use it, or say why not. Without `asked` nothing is said if nothing has changed."""
        async with self._one:
            seen: Look = {}
            try:
                loaded = await in_thread(partial(self._read, seen))
            except ConfigurationError as error:
                self._failed(error.problems)
            except Exception as error:  # a bug of ours costs this reload, and not what is served
                log.log_bug(error)
                path = self._loaded.material.path
                self._failed([Problem(path, None, "", f"can't be read for a bug of mcproxy: {type(error).__name__}")])
            else:
                await self._use(loaded, asked)
            finally:
                # Not tried again until something changes, whatever came of it.
                self._look = seen or self._look

    def _read(self, seen: Look) -> Loaded:
        """In a thread. Raises ConfigurationError."""
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
        """A key that is gone is not made anew: every unknown user would change. Raises StandInKeyError."""
        old = self._loaded.material
        if settings.users_file is None or settings.users_file != old.settings.users_file or old.stand_in_key is None:
            return stand_in_key(settings)
        try:
            key = read_stand_in_key(settings.users_file)
        except StandInKeyError:
            if offers_scram(settings):
                raise
            return old.stand_in_key
        if key is not None:
            return key
        if not offers_scram(settings):
            return old.stand_in_key
        if not offers_scram(old.settings):
            return stand_in_key(settings)
        raise StandInKeyError(f"there is no file {stand_in_key_path(settings.users_file)} any more; restore it")

    async def _use(self, loaded: Loaded, asked: bool) -> None:
        old = self._loaded
        names = loaded.digests.keys() | old.digests.keys()
        changed = {name for name in names if loaded.digests.get(name) != old.digests.get(name)}
        if not changed:
            if asked or not self.results.last_successful:
                self.results.succeeded()
                _log.info("reloaded", generation=old.generation.number, changed="nothing")
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
        self.results.failed()
        for number, problem in enumerate(problems[:MOST_LINES], 1):
            _log.error(
                "reload_failed",
                problem=str(problem),
                number=number,
                problems=len(problems),
                still_serving=self._loaded.generation.number,
            )
