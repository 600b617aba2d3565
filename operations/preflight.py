"""Reads every configuration file that a part of the pipeline will read, so that a mistake stops the start, not the part."""

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import config_folder
from contracts.settings import Settings
from contracts.yaml_files import read_yaml
from generator.config import load_config
from streaming.jobs.catalogue import job_plan


def check_configuration(settings: Settings, *, generator: bool) -> None:
    """Raises ConfigError with file, line and reason for the first mistake in the contracts, the rules, Dagster's file,
    and with `generator` the generator's.
    """
    nowhere = Addresses.local(state=settings.paths, kafka_port=1, flink_rest_port=1, dagster_port=1)
    for name in names.JOBS:
        job_plan(name, nowhere, settings)  # reads the contracts and the rules, and writes SQL of them
    if generator:
        load_config()
    read_yaml(config_folder() / "dagster.yaml")
