"""What a job goes on from when it is submitted: a rule of its own for each job whose plan has changed."""

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed
from contracts.settings import Settings
from operations.contract_changes import contracts_have_grown
from streaming.checkpoints import RestorePoint, newest_restore_point
from streaming.jobs.catalogue import job_plan


def restore_point_of(name: str, addresses: Addresses, settings: Settings) -> RestorePoint | None:
    """The checkpoint or savepoint that the job called `name` goes on from.

    None where it never ran, and for `alerting` after its rules changed: then it goes on from the offsets that it
    committed to Kafka, with empty windows. `lakehouse` goes on from state that was written under contracts that have
    grown since. Raises ComponentFailed for `lakehouse` after its plan changed otherwise: without its state it could not
    tell which of the last rows were committed. Raises ConfigError for a bad rule file, and for contracts that its state
    cannot follow.
    """
    point = newest_restore_point(settings.paths.checkpoints, name)
    if point is None:
        return None
    fingerprint = job_plan(name, addresses, settings).fingerprint(addresses)
    if point.fingerprint == fingerprint:
        return point
    if name == names.LAKEHOUSE_JOB:
        if contracts_have_grown(settings.paths.checkpoints, name, point.fingerprint):
            return point
        raise ComponentFailed(
            f"the plan of the job {name} has changed since its newest checkpoint, {point.path} (fingerprint "
            f"{point.fingerprint}, now {fingerprint}). Put the former contracts and version back, or begin afresh: "
            "pipeline reset"
        )
    return None
