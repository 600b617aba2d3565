"""Runs SQL over files in a Flink of this process, to its end: `python bounded_flink.py <jobs.json>`.

The file holds jobs, each with its options, definitions and inserts; one runs after the other. A process of its own,
since PyFlink's JVM lives as long as the process.
"""

import json
import sys
from pathlib import Path

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment


def main(path: Path) -> None:
    for job in json.loads(path.read_bytes()):
        configuration = Configuration()
        for key, value in job["options"].items():
            configuration.set_string(key, value)
        settings = EnvironmentSettings.new_instance().with_configuration(configuration).build()
        environment = TableEnvironment.create(settings)
        for definition in job["definitions"]:
            environment.execute_sql(definition)
        inserts = environment.create_statement_set()
        for insert in job["inserts"]:
            inserts.add_insert_sql(insert)
        inserts.execute().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
