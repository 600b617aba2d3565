"""What every Java process of the embedded pipeline shares: the JSON log format, flags, and the command line."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

# Compiles at once and not for peak speed: right for what works little or lives for seconds. A JobManager is up after
# 4.7 s of processor time instead of 8.5 and 25 MB smaller; what records pass through keeps both compilers.
QUICK_START = "-XX:TieredStopAtLevel=1"
# Kafka writes names of settings in upper case by the rules of the user's language. In Turkish the i of "classic" gets a
# dot above, and Kafka does not know what that names.
LOCALE = ("-Duser.language=en", "-Duser.country=US")
# What a log line holds, as log4j spells it.
_LINE = {
    "timestamp": "%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}{UTC}",
    "level": "%p",
    "component": "@COMPONENT@",
    "session_id": "${env:PIPELINE_SESSION:-}",
    "logger": "%c",
    "event": "%enc{%m}{JSON}",
    "exception": "%enc{%throwable{30}}{JSON}",
}
# One small log line an event, as JSON, on standard output, where the supervisor rotates it.
_LOG4J = """\
status = error
name = pipeline
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = @PATTERN@%n
appender.out.layout.alwaysWriteExceptions = false
rootLogger.level = @LEVEL@
rootLogger.appenderRef.out.ref = out
"""


def write_log_configuration(
    path: Path, *, component: str, level: Literal["info", "warn"] = "info", quiet: Sequence[str] = ()
) -> Path:
    """Writes a log4j 2 configuration for `component`; loggers named in `quiet` only warn. Returns `path`."""
    levels = "".join(
        f"logger.quiet{number}.name = {logger}\nlogger.quiet{number}.level = warn\n"
        for number, logger in enumerate(quiet)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pattern = json.dumps({**_LINE, "component": component}, separators=(",", ":"))
    path.write_text(_LOG4J.replace("@PATTERN@", pattern).replace("@LEVEL@", level) + levels, encoding="utf-8")
    return path


def java_command(
    java: Path, *, main_class: str, classpath: Iterable[Path | str], options: Sequence[str], arguments: Sequence[str]
) -> tuple[str, ...]:
    """The command that runs `main_class`."""
    return (
        str(java),
        # One collector thread and no concurrent phases: a third less memory than G1 at these heap sizes.
        "-XX:+UseSerialGC",
        "-Djava.awt.headless=true",
        *LOCALE,
        *options,
        "-cp",
        ":".join(map(str, classpath)),
        main_class,
        *arguments,
    )
