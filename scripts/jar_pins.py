"""Resolves the coordinates of `config/jars.yaml` and writes every jar's size and SHA-256 below the file's marker.

`uv run scripts/jar_pins.py` rewrites them (it downloads every jar once); `--check` downloads no jar, says whether the
coordinates still resolve to the pinned jars, and exits with 1 where they do not.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

from operations import jars, maven

MARKER = "# Written by scripts/jar_pins.py from here on.\n"


def resolve(jar_set: jars.JarSet) -> tuple[str, ...]:
    """Every jar of the set, in class path order."""
    return maven.resolve(jar_set.coordinates) if jar_set.transitive else jar_set.coordinates


def pin(jar: str, folder: Path) -> jars.Pin:
    """The jar as it is served today."""
    content = maven.download(jar, folder, lambda _size: None).read_bytes()
    return jars.Pin(jar=jar, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def render(head: str, pins: dict[jars.SetName, tuple[jars.Pin, ...]]) -> str:
    """The file: its hand-written `head` as it is, then one line a jar."""
    lines = ["pins:"]
    for name, jar_pins in pins.items():
        lines.append(f"  {name}:")
        lines += [f"    - {{jar: {each.jar}, bytes: {each.bytes}, sha256: {each.sha256}}}" for each in jar_pins]
    return head + MARKER + "\n".join(lines) + "\n"


def check(file: Path) -> list[str]:
    """What is wrong with the pins, a line a set."""
    known = jars.read_jars(file)
    wrong = []
    for name, jar_set in known.sets.items():
        resolved, pinned = set(resolve(jar_set)), {each.jar for each in known.pins.get(name, ())}
        if resolved != pinned:
            wrong.append(
                f"{name}: not pinned {sorted(resolved - pinned)}, no longer needed {sorted(pinned - resolved)}"
            )
    return wrong


def update(file: Path) -> None:
    """Rewrites the pins."""
    head = file.read_text(encoding="utf-8").split(MARKER)[0]
    sets = jars.read_jars(file).sets
    with tempfile.TemporaryDirectory() as folder:
        pins = {name: tuple(pin(jar, Path(folder)) for jar in resolve(jar_set)) for name, jar_set in sets.items()}
    file.write_text(render(head, pins), encoding="utf-8")


def main() -> int:
    """Exit code: 0 where the pins are right or were written, 1 where `--check` found them wrong."""
    if sys.argv[1:] != ["--check"]:
        update(jars.FILE)
        return 0
    wrong = check(jars.FILE)
    for line in wrong:
        sys.stderr.write(f"{jars.FILE}: {line}. Rewrite them: uv run scripts/jar_pins.py\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
