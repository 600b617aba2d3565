"""Reads how far a sensor has come, from Dagster's storage."""

from dagster import DagsterInstance
from dagster._core.scheduler.instigation import SensorInstigatorData


def sensor_cursor(instance: DagsterInstance, sensor: str) -> str | None:
    """The cursor of the sensor of that name; None where it has not ticked yet."""
    for state in instance.all_instigator_state():
        if state.name == sensor and isinstance(state.instigator_data, SensorInstigatorData):
            return state.instigator_data.cursor
    return None
