"""What `pipeline rules` does: check an edited file, put it in force, tell what ran when."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from contracts import names
from contracts.errors import ComponentFailed, ConfigError, NotRunning, PipelineError
from contracts.paths import config_folder
from contracts.settings import Settings
from operations.embedded.supervision import Supervisor
from operations.rules.changes import Change, changes_between
from streaming.deployments import Deployment, Deployments
from streaming.rules.book import RULES_FILE, load_rules, rules_text

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Check:
    """What deploying the rule file would do: `changes` against deployment `in_force` (None: nothing ever ran).

    `memory_seconds` is how much of the log is read first, so that velocity windows are warm.
    """

    in_force: int | None
    changes: tuple[Change, ...]
    memory_seconds: int


def check(settings: Settings) -> Check:
    """Raises ConfigError for a bad rule file, and for one whose changed rules keep their versions."""
    deployments, book = Deployments(settings.paths.rules), load_rules()
    current = deployments.in_force()
    found = changes_between(deployments.book(current) if current else None, book)
    if silent := [change for change in found if change.silent]:
        words = "; ".join(f"{change.rule_id} ({', '.join(change.details)})" for change in silent)
        raise ConfigError(
            config_folder() / RULES_FILE,
            f"changed, and the version is the same: {words}. Raise the version, so that alerts tell which rule judged, "
            "or leave it out, and a hash of the content stands in its place",
        )
    return Check(current.number if current else None, found, book.memory_seconds)


def deploy(settings: Settings, *, watch: Callable[[Deployment], None], seconds: float) -> Deployment | None:
    """Puts the rule file in force and returns when it is; `watch` sees every look. None where nothing would change.

    Raises what `check` raises, NotRunning, and ComponentFailed where it does not take over within `seconds` or Flink
    refuses it; the rules in force stay in force then.
    """
    found = check(settings)
    if not found.changes:
        return None
    running = {process.name for process in Supervisor(settings.paths).processes() if process.pid}
    # Of a keeper that something else runs, only what it does is seen.
    if settings.supervised and names.JOB_KEEPER not in running:
        raise NotRunning("no pipeline runs; the next `pipeline up` puts the file in force")
    deployments = Deployments(settings.paths.rules)
    if waiting := deployments.wanted():
        raise PipelineError(
            f"deployment {waiting.number} is on its way since {waiting.wanted_at:%H:%M:%S} UTC. Wait for it: "
            "pipeline rules history"
        )
    wanted = deployments.want(load_rules(), rules_text(), reason="deployed", cold=False)
    deadline = time.monotonic() + seconds
    while wanted.state == "wanted":
        if time.monotonic() > deadline:
            raise ComponentFailed(
                f"deployment {wanted.number} has not caught up after {seconds:.0f} s; it goes on, and the former rules "
                "judge until it has. Look at: pipeline rules history, pipeline logs job-keeper"
            )
        watch(wanted)
        time.sleep(_LOOK_SECONDS)
        wanted = deployments.get(wanted.number)
    if wanted.failure:
        raise ComponentFailed(
            f"deployment {wanted.number} was refused: {wanted.failure}. The former rules stay in force"
        )
    return wanted
