"""What a peer says of its run."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class Result:
    """`seconds` from the first record asked for to the last row committed; counts of records and of distinct alerts.

    `guarantee` is what the peer promises where its process is killed, in words.
    """

    peer: str
    guarantee: str
    seconds: float
    valid: int
    refused: int
    alerts: int

    @property
    def rate(self) -> int:
        """Records a second."""
        return round((self.valid + self.refused) / self.seconds)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        return cls(**json.loads(text))
