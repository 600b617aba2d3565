"""Checkpoints as files, so far as Python reads them."""

import struct
from collections.abc import Mapping
from pathlib import Path


def write_metadata(folder: Path, positions: Mapping[str, Mapping[int, int]]) -> Path:
    """Write a checkpoint that has read up to those offsets, by topic and partition; return its folder."""
    splits = [
        struct.pack(">H", len(topic)) + topic.encode() + struct.pack(">iqq", partition, offset, -(2**63))
        for topic, parts in positions.items()
        for partition, offset in parts.items()
    ]
    folder.mkdir(parents=True)
    (folder / "_metadata").write_bytes(b"\x42\x00".join([b"head", *splits, b"tail"]))
    return folder
