"""Rule books put in force: each with the rule file as it was and what became of it, in `<state>/rules/<number>/`.

The job `alerting` runs a deployment, never the file in the configuration folder: an edited, perhaps broken, file
changes nothing until it is deployed. A deployment is wanted first; it is in force when its job has taken over; then
the one before it has ended.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from streaming.rules.book import RULES_FILE, RuleBook, load_rules

_RECORD = "deployment.json"


class Begin(BaseModel):
    """Where in `transactions.raw` a deployment begins, as offsets by partition; one not listed begins at its first.

    Records from `read_from` on are read, so that velocity windows are warm, and those from `judge_from` on judged.
    """

    model_config = ConfigDict(frozen=True)

    read_from: dict[int, int] = {}
    judge_from: dict[int, int] = {}

    def after(self, offsets: Mapping[int, int]) -> Self:
        """Return the same, but no partition is read before its offset in `offsets`, not even to warm windows."""
        return self.model_copy(
            update={
                "read_from": _at_least(self.read_from, offsets),
                "judge_from": _at_least(self.judge_from, offsets),
            }
        )


def _at_least(places: Mapping[int, int], offsets: Mapping[int, int]) -> dict[int, int]:
    return {part: max(places.get(part, 0), offsets.get(part, 0)) for part in places.keys() | offsets.keys()}


class Deployment(BaseModel):
    """One rule book put in force. Times are aware, UTC; None is what has not happened (yet).

    `rules` are the versions of its enabled rules by id, `fingerprint` that of its plan. `cold` tells that no job ran
    when it was wanted, so that it takes over at once.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    reason: str
    rules: dict[str, str]
    wanted_at: datetime
    cold: bool
    begin: Begin | None = None
    fingerprint: str | None = None
    in_force_at: datetime | None = None
    ended_at: datetime | None = None
    failure: str | None = None

    @property
    def state(self) -> str:
        """wanted, in force, ended or failed."""
        if self.failure is not None:
            return "failed"
        if self.ended_at is not None:
            return "ended"
        return "in force" if self.in_force_at is not None else "wanted"


class Deployments:
    """Those of one state folder. `up` and `rules deploy` add one; what becomes of it is the job keeper's to write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> tuple[Deployment, ...]:
        """Every one, the oldest first."""
        return tuple(reversed(tuple(self._newest_first())))

    def in_force(self) -> Deployment | None:
        """The one whose job judges now, or did when the pipeline was last running."""
        return next((deployment for deployment in self._newest_first() if deployment.state == "in force"), None)

    def wanted(self) -> Deployment | None:
        """The one that is to take over; it can only be the newest."""
        newest = next(self._newest_first(), None)
        return newest if newest and newest.state == "wanted" else None

    def _newest_first(self) -> Iterator[Deployment]:
        numbers = (int(record.parent.name) for record in self._folder.glob(f"*/{_RECORD}"))
        return map(self.get, sorted(numbers, reverse=True))

    def get(self, number: int) -> Deployment:
        """The one of that number. Raises FileNotFoundError."""
        return Deployment.model_validate_json((self._folder / str(number) / _RECORD).read_bytes())

    def folder(self, deployment: Deployment) -> Path:
        """Where its rule file lies."""
        return self._folder / str(deployment.number)

    def book(self, deployment: Deployment) -> RuleBook:
        """Its rules. Raises ConfigError for a copy that this version can no longer read."""
        return load_rules(self.folder(deployment))

    def want(self, book: RuleBook, text: str, *, reason: str, cold: bool) -> Deployment:
        """Adds one of the rules `book`, written as `text`; one that was wanted before it fails."""
        if waiting := self.wanted():
            self.save(waiting.model_copy(update={"failure": "another one was wanted before it was in force"}))
        newest = next(self._newest_first(), None)
        number = newest.number + 1 if newest else 1
        rules = {rule.id: rule.rule_version for rule in book.in_force}
        deployment = Deployment(number=number, reason=reason, rules=rules, wanted_at=datetime.now(UTC), cold=cold)
        folder = self._folder / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RULES_FILE).write_text(text, encoding="utf-8")
        self.save(deployment)
        return deployment

    def save(self, deployment: Deployment) -> Deployment:
        """Writes what is known of it now, whole or not at all."""
        record = self._folder / str(deployment.number) / _RECORD
        draft = record.with_suffix(".draft")
        draft.write_text(deployment.model_dump_json(indent=2) + "\n", encoding="utf-8")
        os.replace(draft, record)
        return deployment

    def take_over(self, deployment: Deployment) -> None:
        """Writes that it is in force now, and that all others have ended."""
        self.save(deployment.model_copy(update={"in_force_at": datetime.now(UTC)}))
        self.end_all_but_the_newest()

    def end_all_but_the_newest(self) -> None:
        """Writes that those have ended which another one has followed: those in force, but for the newest of them."""
        newest = self.in_force()
        for other in self.all():
            if newest and other.state == "in force" and other.number != newest.number:
                self.save(other.model_copy(update={"ended_at": newest.in_force_at}))
