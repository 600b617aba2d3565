"""What the job `lakehouse` goes on from when it is submitted, also after its plan has changed.

`alerting` goes on from a checkpoint of its deployment or from where that begins: see `rules/switch.py`.
"""

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed
from contracts.settings import Settings
from operations.contract_changes import contracts_have_grown
from streaming.checkpoints import RestorePoint, newest_restore_point
from streaming.jobs.catalogue import job_plan


def lakehouse_restore_point(addresses: Addresses, settings: Settings) -> RestorePoint | None:
    """The checkpoint or savepoint that the job goes on from; None where it never ran.

    It also goes on from state that was written under contracts that have grown since. Raises ComponentFailed where its
    plan changed otherwise: without its state it could not tell which of the last rows were committed. Raises
    ConfigError for contracts that its state cannot follow.
    """
    name = names.LAKEHOUSE_JOB
    point = newest_restore_point(settings.paths.checkpoints, name)
    if point is None:
        return None
    fingerprint = job_plan(name, addresses, settings).fingerprint
    if point.fingerprint == fingerprint or contracts_have_grown(settings.paths.checkpoints, name, point.fingerprint):
        return point
    raise ComponentFailed(
        f"the plan of the job {name} has changed since its newest checkpoint, {point.path} (fingerprint "
        f"{point.fingerprint}, now {fingerprint}). Put the former contracts and version back, or begin afresh: "
        "pipeline reset"
    )
