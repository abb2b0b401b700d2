"""The row: one frame of a batch, 64 bytes, one cache line.

The bytes of a frame stay where the reader put them. A row points at them: twelve address bytes at ``address``, and
the rest from ``address + skip`` on. Taking a VLAN tag off is ``skip += 4``; putting one on is ``tag = TCI``: nothing
is copied until a sink writes the frame, address bytes, tag, rest, zeros.
"""

from typing import Final

import numpy as np
from numba import from_dtype, types

ROW: Final = np.dtype(
    [
        ("address", np.int64),  # where the twelve address bytes are
        ("time_ns", np.int64),  # virtual time, since 1970 for captures
        ("order", np.int64),  # source << SERIAL_BITS | serial: breaks ties of time
        ("length", np.int32),  # captured bytes, the tag that is carried beside them not counted
        ("wire_length", np.int32),  # the same, before the snap length cut it
        ("tag", np.int32),  # TCI carried beside the bytes, or NO_TAG
        ("entry", np.int32),  # number of the port that it came in by, or NOWHERE
        ("port", np.int32),  # number of the port that it is at
        ("part", np.int32),  # number of this copy or segment among those made of one frame
        ("interface", np.int32),  # number of the capture interface (over all sources), or NOWHERE
        ("skip", np.int16),  # from ``address`` to where the rest begins: 12, or 16 past a tag
        ("pad", np.int16),  # zero bytes that follow the captured ones
        ("mss", np.uint16),  # segment size of a super-frame, or 0
        ("checksum", np.uint8),  # a Checksum
        ("flags", np.uint8),  # FROM_UPLINK; the other bits are kept for the uplink's offloads
    ],
    align=True,
)
"""One frame. 64 bytes; the test of this module holds it to that."""

ROW_BYTES: Final = 64
TAG_AT: Final = 32
"""Where in a row its tag is, which its entry follows."""
ADDRESS_BYTES: Final = 12
TAG_BYTES: Final = 4
ETHERNET_BYTES: Final = 14
NO_TAG: Final = -1
FROM_UPLINK: Final = 1
"""Flag of a row: the frame came in by an uplink."""
NOWHERE: Final = -1
SERIAL_BITS: Final = 40
MAX_TIME_NS: Final = 2**63 - 1
MAX_ORDER: Final = 2**63 - 1

ROWS = types.Array(from_dtype(ROW), 1, "C")
"""numba's type of an array of rows, for the signatures of kernels."""
