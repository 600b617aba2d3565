"""Runs SQL over a file in a Flink of this process, to its end: `python bounded_flink.py <statements.json>`.

The file holds a list of definitions and a list of inserts, which become one job. A process of its own, since PyFlink's
JVM lives as long as the process.
"""

import json
import sys
from pathlib import Path

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment


def main(path: Path) -> None:
    statements = json.loads(path.read_bytes())
    configuration = Configuration()
    for key, value in statements["options"].items():
        configuration.set_string(key, value)
    settings = EnvironmentSettings.new_instance().with_configuration(configuration).build()
    environment = TableEnvironment.create(settings)
    for definition in statements["definitions"]:
        environment.execute_sql(definition)
    job = environment.create_statement_set()
    for insert in statements["inserts"]:
        job.add_insert_sql(insert)
    job.execute().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
