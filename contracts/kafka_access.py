"""Access of clients to the brokers, said once and projected to librdkafka, kafka-python and Java's client (Flink).

The password is in the environment alone (`KAFKA_PASSWORD`). Python reads it there; a Flink job is only told the
variable's name, and Kafka's client reads it where the job runs: no plan, web page or checkpoint holds it.
"""

import os
from dataclasses import dataclass, fields
from pathlib import Path

from contracts.errors import ConfigError

PASSWORD_VARIABLE = "KAFKA_PASSWORD"
# Where Flink's Kafka connector keeps its own copy of Kafka's client.
_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka"
_LOGIN_MODULES = {
    "PLAIN": f"{_SHADED}.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{_SHADED}.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{_SHADED}.common.security.scram.ScramLoginModule",
}


@dataclass(frozen=True)
class KafkaAccess:
    """The brokers' addresses (`host:port,...`) and what they ask of a client.

    `security_protocol` and `sasl_mechanism` in Kafka's own words; `ca_file` has the certificates (PEM) of who may have
    signed the brokers', nothing means those that the system trusts.
    """

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    username: str = ""
    ca_file: str = ""

    @classmethod
    def from_environment(cls, bootstrap_servers: str) -> "KafkaAccess":
        """The brokers at `bootstrap_servers`, all else as `pipeline env` exports it (KAFKA_USERNAME, ...)."""
        variables = {field.name: os.environ.get(f"KAFKA_{field.name.upper()}") for field in fields(cls)}
        return cls(
            **{**{name: value for name, value in variables.items() if value}, "bootstrap_servers": bootstrap_servers}
        )

    def __str__(self) -> str:
        """As an error or a log line names it."""
        return self.bootstrap_servers

    @property
    def _logs_in(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    def _common(self) -> dict[str, str]:
        """What both kinds of client call alike."""
        settings = {"bootstrap.servers": self.bootstrap_servers}
        if self.security_protocol != "PLAINTEXT":
            settings["security.protocol"] = self.security_protocol
        if self._logs_in:
            settings["sasl.mechanism"] = self.sasl_mechanism
        return settings

    def librdkafka(self) -> dict[str, str]:
        """Settings of every client in Python, the password among them. Raises ConfigError where it is not set."""
        settings = self._common()
        if self._logs_in:
            settings |= {"sasl.username": self.username, "sasl.password": password()}
        if self.ca_file:
            settings["ssl.ca.location"] = self.ca_file
        return settings

    def observer(self) -> dict[str, str | int | float | bool]:
        """Return settings of a consumer that joins no group, commits nothing and is quiet while a broker is down."""
        return {**self.librdkafka(), "group.id": "pipeline-observer", "enable.auto.commit": False, "log_level": 0}

    def kafka_python(self) -> dict[str, str | list[str]]:
        """Settings of kafka-python, the password among them. Raises ConfigError if it is not set."""
        settings: dict[str, str | list[str]] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
        }
        if self._logs_in:
            settings["sasl_mechanism"] = self.sasl_mechanism
            settings |= {"sasl_plain_username": self.username, "sasl_plain_password": password()}
        if self.ca_file:
            settings["ssl_cafile"] = self.ca_file
        return settings

    def flink(self) -> dict[str, str]:
        """The same for Flink's Kafka connector, without the password and with the certificates themselves, so that
        nothing but the variable is needed where the job runs. Raises ConfigError where `ca_file` cannot be read.
        """
        settings = self._common()
        if self._logs_in:
            settings |= {
                "config.providers": "env",
                "config.providers.env.class": f"{_SHADED}.common.config.provider.EnvVarConfigProvider",
                # It may show no other variable of the TaskManager's.
                "config.providers.env.param.allowlist.pattern": PASSWORD_VARIABLE,
                "sasl.jaas.config": (
                    f"{_LOGIN_MODULES[self.sasl_mechanism]} required "
                    f'username="{self.username}" password="${{env:{PASSWORD_VARIABLE}}}";'
                ),
            }
        if self.ca_file:
            settings |= {
                "ssl.truststore.type": "PEM",
                "ssl.truststore.certificates": _certificates(Path(self.ca_file)),
            }
        return settings


def password() -> str:
    """What `KAFKA_PASSWORD` holds. Raises ConfigError where that is nothing, or cannot be passed on.

    Kafka's Java client reads it between double quotes, and has no way to write one of these two in there.
    """
    found = os.environ.get(PASSWORD_VARIABLE, "")
    if not found:
        raise ConfigError(f"environment variable {PASSWORD_VARIABLE}", "is not set, and the brokers ask for a password")
    if '"' in found or "\\" in found:
        raise ConfigError(
            f"environment variable {PASSWORD_VARIABLE}", "has a double quote or a backslash; choose another password"
        )
    return found


def _certificates(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("kafka.ca_file", f"{path} cannot be read as certificates in PEM: {error}") from error
