"""Standard output, as every command uses it; apart from `screen.py`, whose imports take a second."""

from rich.console import Console

_WIDE = 4096


def console() -> Console:
    """Standard output. Where it is no terminal nothing is cut or folded to the width of one."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDE)
