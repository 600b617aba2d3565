"""How large a Kafka record may be on its way: in bytes, each size large enough for what the one before lets through.

What a *valid* transaction may have is the contract's affair (`x-limits`) and far less.
"""

from typing import Final

# Of a batch as the producer sent it, compressed or not. Enough to judge a transaction of 2 MB and keep it.
RAW_TOPIC_BYTES: Final = 2_621_440
# A payload as base64: four characters for three bytes.
DEAD_LETTER_PAYLOAD_CHARACTERS: Final = -(-RAW_TOPIC_BYTES // 3) * 4
# That, and the other fields of a dead letter, which have less than 8 KiB.
DEAD_LETTER_TOPIC_BYTES: Final = 4_194_304
