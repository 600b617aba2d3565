"""The addresses of one running pipeline: chosen by `pipeline up`, told to every process, printed by `pipeline env`.

Inside the pipeline they travel as environment variables; a client outside finds them in the state folder.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from contracts import names
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from contracts.paths import StatePaths

_HTTP_PORT = 80


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a pipeline can be reached, and how. URLs have no trailing slash.

    The catalog is a SQLite file (`sqlite:///`) or a PostgreSQL database (`contracts/postgres.py`), the warehouse a
    folder (`file://`) or in a bucket (`contracts/s3.py`). Passwords are no addresses: they stay in the environment.
    """

    kafka_bootstrap_servers: str
    flink_rest_url: str
    dagster_url: str
    iceberg_catalog_uri: str
    iceberg_catalog_name: str
    iceberg_warehouse: str
    pipeline_state: str
    kafka_security_protocol: str = "PLAINTEXT"
    kafka_sasl_mechanism: str = ""
    kafka_username: str = ""
    kafka_ca_file: str = ""

    @property
    def kafka(self) -> KafkaAccess:
        """The brokers, for every client."""
        return KafkaAccess(**{field.name: getattr(self, f"kafka_{field.name}") for field in fields(KafkaAccess)})

    @property
    def flink_rest(self) -> tuple[str, int]:
        """Host and port of Flink's REST interface."""
        where = urlsplit(self.flink_rest_url)
        return where.hostname or "", where.port or _HTTP_PORT

    def to_environment(self) -> dict[str, str]:
        """As environment variables: each field's name in upper case."""
        return {name.upper(): value for name, value in asdict(self).items() if value}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Addresses":
        """From environment variables (default: the process's own).

        Raises NotRunning, naming the first that is missing.
        """
        environment = os.environ if environment is None else environment
        found = {field.name: environment.get(field.name.upper()) for field in fields(cls)}
        required = [field.name for field in fields(cls) if field.default is MISSING]
        missing = [name.upper() for name in required if not found[name]]
        if missing:
            raise NotRunning(f'{missing[0]} is not set. Start a pipeline (`pipeline up`), then: eval "$(pipeline env)"')
        return cls(**{name: value for name, value in found.items() if value})

    @classmethod
    def read(cls, state: Path) -> "Addresses":
        """Those of the pipeline that was last started in the state folder `state`. Raises NotRunning."""
        path = StatePaths(state).addresses
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise NotRunning(f"no pipeline was started in {state}. Start one: pipeline up") from None
        except (ValueError, TypeError) as error:
            raise NotRunning(f"{path} is not what this version writes ({error}). Start anew: pipeline up") from error

    def write(self) -> None:
        """Leaves them in the state folder for `read`, replacing what was there in one step."""
        path = StatePaths(Path(self.pipeline_state)).addresses
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def local(cls, *, state: StatePaths, kafka_port: int, flink_rest_port: int, dagster_port: int) -> "Addresses":
        """Of a pipeline on this machine.

        The catalog's busy timeout is 30 s: several processes share the SQLite file.
        """
        return cls(
            kafka_bootstrap_servers=f"127.0.0.1:{kafka_port}",
            flink_rest_url=f"http://127.0.0.1:{flink_rest_port}",
            dagster_url=f"http://127.0.0.1:{dagster_port}",
            iceberg_catalog_uri=f"sqlite:///{state.catalog}?timeout=30",
            iceberg_catalog_name=names.CATALOG,
            # Not as_uri(): Iceberg takes the path as it stands, and would make a folder called "a%20b" beside "a b".
            iceberg_warehouse=f"file://{state.warehouse}",
            pipeline_state=str(state.root),
        )
