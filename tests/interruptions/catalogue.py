"""Every operation that removes something, and the modules in which it is disturbed."""

from tests.changing_calls import modules_of_the_page
from tests.interruptions import files, histories, jobs, state_folder, tables

# They write for those that remove.
_BESIDES = {"lake/set_aside.py", "pipeline_assets/lib/skips.py", "streaming/deployments.py"}

MODULES = tuple(sorted(modules_of_the_page() | _BESIDES))
OPERATIONS = (
    *tables.OPERATIONS,
    *state_folder.OPERATIONS,
    *jobs.OPERATIONS,
    *histories.OPERATIONS,
    *files.OPERATIONS,
)
