"""Which partition a key belongs to, as Kafka's Java clients decide it: toPositive(murmur2(key)) % partitions.

For many keys at once. Whoever else produces to the topic, by a Java client or by librdkafka's `murmur2_random`, puts an
account's records into the same partition, where their order is kept.
"""

import numpy as np
from numpy.typing import NDArray

_SEED, _M = np.uint32(0x9747B28C), np.uint32(0x5BD1E995)


def murmur2(keys: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The hash of each row of `keys` (records x bytes), equal to Java's `Utils.murmur2` taken as unsigned."""
    count, width = keys.shape
    whole = width - width % 4
    hashes = np.full(count, _SEED ^ np.uint32(width), dtype=np.uint32)
    for word in np.ascontiguousarray(keys[:, :whole]).view("<u4").T:
        mixed = word * _M
        mixed ^= mixed >> np.uint32(24)
        hashes = hashes * _M ^ mixed * _M
    if whole < width:
        for place in range(whole, width):
            hashes ^= keys[:, place].astype(np.uint32) << np.uint32(8 * (place - whole))
        hashes *= _M
    hashes ^= hashes >> np.uint32(13)
    hashes *= _M
    return hashes ^ hashes >> np.uint32(15)


def partitions_of(keys: NDArray[np.uint8], partitions: int) -> NDArray[np.int32]:
    """The partition, 0 to before `partitions`, of each row of `keys` (records x bytes)."""
    return ((murmur2(keys) & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.int32)
