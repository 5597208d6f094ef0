"""Independent random streams, one for each place and purpose."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, place_id: str, purpose: str) -> np.random.Generator:
    """A generator that depends on nothing but its three arguments.

    A county therefore draws the same numbers whether it is the root or one of ten.
    """
    return np.random.default_rng([seed, int(place_id), crc32(purpose.encode())])
