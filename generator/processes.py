"""Several generator processes as one: each takes its part of the accounts, the rate and the limit."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from contracts.errors import ConfigError
from generator.population import Shard


def run_shards(count: int, arguments: Sequence[str]) -> int:
    """Runs `count` generators with `arguments`, passing SIGTERM and SIGINT on; the worst of their exit codes.

    Where one ends badly, the others are asked to end: half of the traffic is not what was ordered.
    """
    shards = [
        subprocess.Popen([sys.executable, "-m", "generator", *arguments, "--shard", f"{number}/{count}"])
        for number in range(count)
    ]

    def end(number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        for shard in shards:
            if shard.poll() is None:
                shard.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    left = list(shards)
    while left:
        for shard in left[:]:
            try:
                code = shard.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            left.remove(shard)
            if code:
                end()
    return max(abs(int(shard.returncode)) for shard in shards)


def shard_of(text: str) -> Shard:
    """`1/4` as the second of four shards. Raises ConfigError."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise ConfigError("command line", f"a shard is like 0/4 (found {text!r})")
    return Shard(int(number), int(count))


def part_of(limit: int | None, shard: Shard) -> int | None:
    """The shard's part of `limit` records."""
    if limit is None:
        return None
    return limit // shard.count + (shard.number < limit % shard.count)
