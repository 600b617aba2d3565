"""Runs supervisord so that it outlives a full disk: a program of its own, with the arguments of supervisord's.

Supervisord (4.3) ends if it cannot write a line of its log: it prints why to a standard error that is on the same disk,
or fails to begin a new file. What it cannot write is dropped instead, and the next line is tried again.
"""

from contextlib import suppress

from supervisor import loggers, supervisord

_do_rollover = loggers.RotatingFileHandler.doRollover


def _drop(handler: loggers.Handler) -> None:
    """Take no notice of a line that could not be written: `pipeline status` tells of the disk."""


def roll_over(handler: loggers.RotatingFileHandler) -> None:
    """Begin a new file if the present one is full; if none can be begun, try again at the next line."""
    with suppress(OSError):
        if handler.stream.closed:  # the last time, no new file could be begun
            handler.stream = open(handler.baseFilename, handler.mode)  # noqa: SIM115  # closed by the handler
        _do_rollover(handler)


def main() -> None:
    """Become supervisord."""
    loggers.Handler.handleError = _drop
    loggers.RotatingFileHandler.doRollover = roll_over
    supervisord.main()


if __name__ == "__main__":
    main()
