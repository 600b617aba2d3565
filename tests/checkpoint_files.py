"""Checkpoints as files, so far as Python reads them."""

import struct
from collections.abc import Mapping
from pathlib import Path

from contracts import names


def write_metadata(folder: Path, positions: Mapping[int, int], *, topic: str = names.RAW_TOPIC) -> Path:
    """Write a checkpoint that has read `topic` up to those offsets, by partition; return its folder."""
    name = topic.encode()
    splits = [
        struct.pack(">H", len(name)) + name + struct.pack(">iqq", partition, offset, -(2**63))
        for partition, offset in positions.items()
    ]
    folder.mkdir(parents=True)
    (folder / "_metadata").write_bytes(b"\x42\x00".join([b"head", *splits, b"tail"]))
    return folder
