"""Watches the configuration file while the generator runs. A broken edit is refused, and the old stays in force."""

import threading
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Self

import structlog
from watchfiles import watch

from contracts.errors import ConfigError
from generator.config import GeneratorConfig

_log = structlog.get_logger()

# What people and ledger are made of: it takes effect at the next start.
AT_START = ("seed", "accounts", "merchants_per_country", "disturbances.clock_skew", "ledger")


class ConfigWatch:
    """Reads the file at `path` by `load`: at once, and again whenever it has changed, while it is entered.

    `current` is what is in force, `refused` why the newest edit is not (empty: it is). Raises what `load` raises the
    first time.
    """

    def __init__(self, path: Path, load: Callable[[], GeneratorConfig]) -> None:
        self._path, self._load = path.resolve(), load
        # Before the reading: an edit between the two is then read twice, and never missed.
        self._seen = self._signature()
        self.current = load()
        self.refused = ""
        # Put in by one thread and taken out by another, each in one step.
        self._new: deque[GeneratorConfig] = deque(maxlen=1)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="config-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()

    def take(self) -> GeneratorConfig | None:
        """The configuration of the newest good edit, once; None where there is none."""
        try:
            return self._new.pop()
        except IndexError:
            return None

    def look(self) -> None:
        """Takes an edit over, or says in the log why not."""
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            read = self._load()
        except ConfigError as error:
            self.refused = str(error)
            _log.error("config_refused", reason=self.refused, in_force="the configuration from before the edit")
            return
        self.refused = ""
        changed = [name for name in type(read).model_fields if getattr(read, name) != getattr(self.current, name)]
        if changed:
            waiting = [name for name in AT_START if attrgetter(name)(read) != attrgetter(name)(self.current)]
            _log.info("config_changed", changed=changed, **({"at_next_start": waiting} if waiting else {}))
            self.current = read
            self._new.append(read)

    def _follow(self) -> None:
        # The folder, not the file: editors replace the file, and a watch would stay with the old one. No filter by
        # name: whatever happens, and at least once a second, the file is looked at, so that an edit from before the
        # watch began is found, and one on a file system that tells of none.
        changes = watch(
            self._path.parent,
            watch_filter=None,
            stop_event=self._end,
            rust_timeout=1000,
            yield_on_timeout=True,
            debounce=200,
        )
        for _ in changes:
            self.look()

    def _signature(self) -> tuple[int, int, int] | None:
        """What differs after an edit; None where there is no file."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
