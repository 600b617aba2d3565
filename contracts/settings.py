"""The pipeline's settings: one typed tree from `config/pipeline.yaml` and the environment, read once at an entry point.

An environment variable overrides the file: `PIPELINE_` and the path, its parts joined by two underscores
(`PIPELINE_KAFKA__PORT=0`, `PIPELINE_STATE=/somewhere`). Secrets come from the environment only.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from contracts import names, paths, postgres
from contracts.addresses import Addresses
from contracts.errors import ConfigError
from contracts.sessions import SESSION_VARIABLE
from contracts.yaml_files import explain, read_yaml

PREFIX = "PIPELINE_"
# Variables that share the prefix and are not settings.
_OTHER_VARIABLES = frozenset({"PIPELINE_CACHE", "PIPELINE_CONFIG", "PIPELINE_CONTRACTS", SESSION_VARIABLE})

Port = Annotated[int, Field(ge=0, le=65535, description="A TCP port on loopback; 0 takes any free one.")]
MegaBytes = Annotated[int, Field(ge=64, le=65536)]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]+$", description="A host's name or address.")]
Database = Annotated[str, AfterValidator(postgres.checked)]


def _brokers(servers: str) -> str:
    if servers and not re.fullmatch(r"[^\s:,]+:\d+(,[^\s:,]+:\d+)*", servers):
        raise ValueError("expected host:port, several of them with commas in between")
    return servers


def _bucket(warehouse: str) -> str:
    if warehouse and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[\w.=-]+)*", warehouse):
        raise ValueError("expected s3://bucket/path")
    return warehouse


def _http_address(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme != "http" or not parts.hostname or not parts.port):
        raise ValueError("expected http://host:port")
    return url.rstrip("/")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(_Section):
    """The brokers and the topics. Ports and heap are of the broker that is started where no others are named."""

    bootstrap_servers: Annotated[str, AfterValidator(_brokers)] = Field(
        default="", description="Of brokers that run elsewhere."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = Field(default="", pattern=r"""^[^"\\\x00-\x1f]*$""", description="The password: KAFKA_PASSWORD.")
    ca_file: str = Field(default="", description="PEM certificates of who signs the brokers'; none: the system's.")
    replication: int = Field(default=1, ge=1, le=16, description="Copies of each partition of a topic made here.")
    port: Port = 9092
    controller_port: Port = 9093
    heap_mb: MegaBytes = 256
    partitions: int = Field(default=2, ge=1, le=256, description="Partitions of transactions.raw and of alerts.")
    retention_hours: int = Field(default=24, ge=1, description="How long the log can be replayed.")
    retention_mb: int = Field(default=2048, ge=16, description="Bound of each partition's size, in MiB.")

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if not self.bootstrap_servers and (self.security_protocol != "PLAINTEXT" or self.replication > 1):
            raise ValueError("security_protocol and replication are of brokers elsewhere; name their bootstrap_servers")
        if self.security_protocol.startswith("SASL_") and not self.username:
            raise ValueError(f"{self.security_protocol} asks for a username")
        return self


class Flink(_Section):
    """The Flink cluster and the two jobs. Ports and memory are of the one started where no other is named."""

    rest_url: Annotated[str, AfterValidator(_http_address)] = Field(
        default="", description="Of a session cluster that runs elsewhere."
    )
    dedicated_taskmanagers: bool = Field(
        default=True, description="Whether each job has a TaskManager of its own, or takes any free slots."
    )
    rest_port: Port = 8081
    rpc_port: Port = 6123
    jobmanager_mb: MegaBytes = 640
    alerting_taskmanager_mb: MegaBytes = 1024
    lakehouse_taskmanager_mb: MegaBytes = 1152
    alerting_parallelism: int = Field(default=1, ge=1, le=256)
    lakehouse_parallelism: int = Field(default=1, ge=1, le=256)
    alerting_checkpoint_ms: int = Field(default=30_000, ge=500)
    lakehouse_checkpoint_ms: int = Field(default=5_000, ge=500, description="Also the Iceberg commit interval.")
    buffer_timeout_ms: int = Field(
        default=5, ge=0, description="How long a record may wait for its network buffer to fill."
    )
    commit_stall_seconds: int = Field(
        default=60, ge=1, description="Records that wait for a commit for longer make the status unhealthy."
    )
    state_hours: int = Field(default=24, ge=1, description="State of an idle account or alert is dropped after this.")


class Lake(_Section):
    """The Iceberg tables."""

    catalog: Database = Field(default="", description="A PostgreSQL database; none: a SQLite file in the state folder.")
    warehouse: Annotated[str, AfterValidator(_bucket)] = Field(
        default="", description="s3://bucket/path; none: a folder."
    )


class Dagster(_Section):
    """The control plane."""

    host: Host = Field(default="127.0.0.1", description="Where other processes find the web server.")
    code_host: Host = Field(default="127.0.0.1", description="Where they find the code server.")
    storage: Database = Field(default="", description="Of its history; none: SQLite files in the state folder.")
    port: Port = 3000
    code_port: Port = 4266
    read_only: bool = False


class Settings(BaseSettings):
    """The whole tree. Frozen; paths are absolute."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        case_sensitive=False,
        # `PIPELINE_STATE= pipeline reset` means the default, not the folder that holds the project.
        env_ignore_empty=True,
    )

    state: Path = Field(default=Path(".pipeline"), description="The state folder; relative to the project.")
    supervised: bool = Field(
        default=True, description="Whether `pipeline up` runs the processes; else something else does (containers)."
    )
    listen: Literal["127.0.0.1", "0.0.0.0"] = Field(
        default="127.0.0.1",
        description="Where Flink's and Dagster's servers listen: this machine alone, or every network.",
    )
    ready_seconds: int = Field(default=180, ge=10, description="How long `up` waits for everything to be healthy.")
    kafka: Kafka = Kafka()
    flink: Flink = Flink()
    lake: Lake = Lake()
    dagster: Dagster = Dagster()

    @property
    def paths(self) -> paths.StatePaths:
        """The layout of the state folder."""
        return paths.StatePaths((paths.PROJECT / self.state.expanduser()).resolve())

    @property
    def elsewhere(self) -> frozenset[str]:
        """The components that `pipeline up` does not run here, and can be asked how they are."""
        unknown = {names.JOB_KEEPER}
        if not self.flink.dedicated_taskmanagers:
            unknown |= set(names.TASKMANAGERS.values())
        if not self.supervised:
            return frozenset(names.COMPONENTS) - unknown
        brokers = {names.BROKER} if self.kafka.bootstrap_servers else set()
        flink = {names.JOBMANAGER, *names.TASKMANAGERS.values()} if self.flink.rest_url else set()
        return frozenset(brokers | flink) - unknown

    def addresses(self, *, kafka_port: int, flink_rest_port: int, dagster_port: int) -> Addresses:
        """Where everything is reached: what runs elsewhere as it is configured, the rest on this machine's ports."""
        here = Addresses.local(
            state=self.paths, kafka_port=kafka_port, flink_rest_port=flink_rest_port, dagster_port=dagster_port
        )
        here = replace(here, dagster_url=f"http://{self.dagster.host}:{dagster_port}")
        if self.flink.rest_url:
            here = replace(here, flink_rest_url=self.flink.rest_url)
        if self.lake.catalog:
            here = replace(here, iceberg_catalog_uri=self.lake.catalog)
        if self.lake.warehouse:
            here = replace(here, iceberg_warehouse=self.lake.warehouse)
        if not self.kafka.bootstrap_servers:
            return here
        kafka = self.kafka
        return replace(
            here,
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            kafka_security_protocol=kafka.security_protocol,
            kafka_sasl_mechanism=kafka.sasl_mechanism if kafka.username else "",
            kafka_username=kafka.username,
            kafka_ca_file=str(paths.PROJECT / Path(kafka.ca_file).expanduser()) if kafka.ca_file else "",
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, whose content arrives as the init values."""
        return env_settings, init_settings


def load_settings(folder: Path | None = None) -> Settings:
    """The settings from `pipeline.yaml` in `folder` (default: the configuration folder) and the environment.

    Raises ConfigError that names the file and line, or the variable.
    """
    path = (folder or paths.config_folder()) / "pipeline.yaml"
    content, tree = read_yaml(path)
    _refuse_unknown_variables()
    try:
        return Settings(**content)
    except ValidationError as error:
        location = error.errors()[0]["loc"]
        variable = PREFIX + "__".join(str(part).upper() for part in location)
        if variable in {name.upper() for name in os.environ}:
            first = error.errors()[0]
            raise ConfigError(
                f"environment variable {variable}", f"{first['msg']} (found {first['input']!r})"
            ) from error
        raise explain(error, path, tree) from error


def variables() -> Iterator[str]:
    """The environment variable of every setting."""
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from (f"{PREFIX}{name}__{part}".upper() for part in section.model_fields)
        else:
            yield f"{PREFIX}{name}".upper()


def _refuse_unknown_variables() -> None:
    """A misspelt variable would otherwise be ignored without a word, or blamed on the file."""
    known = set(variables())
    for name in os.environ:
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in known | _OTHER_VARIABLES:
            nearest = ", ".join(get_close_matches(upper, known)) or ", ".join(sorted(known))
            raise ConfigError(f"environment variable {name}", f"no such setting; there are {nearest}")
