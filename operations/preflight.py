"""Reads every configuration file before anything starts, so that a mistake in one stops the start and not a part."""

import re

from contracts import names
from contracts.errors import ConfigError
from contracts.kafka_access import password
from contracts.paths import config_folder
from contracts.settings import Settings
from contracts.yaml_files import read_yaml
from generator.config import load_config
from operations.contract_changes import refuse_breaking_contracts
from quality.settings import load_quality
from streaming.deployments import Deployments
from streaming.jobs.catalogue import job_plan


def check_configuration(settings: Settings, *, generator: bool, keep_rules: bool = False) -> None:
    """Raises ConfigError with file, line and reason for the first mistake.

    Read are the contracts, the rules (with `keep_rules` those in force), Dagster's file, the quality checks', with
    `generator` the generator's, and the state folder's name; also the brokers' password, where they ask for one.
    """
    _refuse_unusable_name(str(settings.paths.root))
    if settings.kafka.username:
        password()
    nowhere = settings.addresses(kafka_port=1, flink_rest_port=1, dagster_port=1)
    in_force = Deployments(settings.paths.rules).in_force() if keep_rules else None
    for name in names.JOBS:
        job_plan(name, nowhere, settings, in_force)  # reads the contracts and the rules, and writes SQL of them
    refuse_breaking_contracts(settings.paths.checkpoints, names.LAKEHOUSE_JOB)
    if generator:
        load_config()
    load_quality()
    read_yaml(config_folder() / "dagster.yaml")


def _refuse_unusable_name(folder: str) -> None:
    """Each of these divides or ends a path for one part or another: class paths, Kafka's list of folders, URLs."""
    if found := re.search(r"""[,:;?#%'"\\\x00-\x1f]""", folder):
        raise ConfigError(
            "environment variable PIPELINE_STATE", f"{folder} has {found[0]!r} in its path; choose a plainer folder"
        )
