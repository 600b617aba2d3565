"""The place of a record in Kafka as text, `topic/partition/offset`: a dead letter's identity, and the pointer to it.

A replayed record carries the place of the refused one in the header `names.REPLAY_HEADER`; its row keeps it in the
column `replayed_from`. Whatever writes, reads or judges that text takes its form from here.
"""

import re
from dataclasses import dataclass
from typing import Final

from contracts import names

# Kafka's own rules of a topic's name, and the digits of an int and of a long. Java and Python read it alike up to the
# end, which each anchors in its own way.
FORM: Final = "[a-zA-Z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}"
_FORM = re.compile("(?:([a-zA-Z0-9._-]{1,249})/)?([0-9]{1,10})/([0-9]{1,19})")


@dataclass(frozen=True, order=True)
class Position:
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """In full, as it stands in the header and in tables: `transactions.raw/0/4711`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def short(self) -> str:
        """For people: without the topic where it is the raw one."""
        return f"{self.partition}/{self.offset}" if self.topic == names.RAW_TOPIC else str(self)

    @classmethod
    def parse(cls, text: str) -> "Position":
        """From `topic/partition/offset`, or `partition/offset` of the raw topic. Raises ValueError."""
        if (found := _FORM.fullmatch(text)) is None:
            raise ValueError(
                f"{text[:80]!r} is no position; write partition/offset (0/4711) or topic/partition/offset "
                f"({names.RAW_TOPIC}/0/4711), as `pipeline dead-letters list` shows it"
            )
        return cls(found[1] or names.RAW_TOPIC, int(found[2]), int(found[3]))
