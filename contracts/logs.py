"""The log of our own processes: JSON lines on standard output, one event a line, with component and session."""

import logging

import structlog

from contracts.sessions import current_session


def configure_logs(component: str) -> None:
    """Sets structlog up for this process. `PIPELINE_SESSION`, where set, is on every line as session_id."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    session = current_session()
    structlog.contextvars.bind_contextvars(component=component, **({"session_id": session} if session else {}))
