"""`DAMAGED_ZIP`: what Python's `zipfile` raises at a zip that is damaged, `BadZipFile` being one.

Where lengths in its headers lead beyond its end, it is `EOFError` or `struct.error`; where packed
bytes are not what they were, `zlib.error`. None of them is a `ValueError`.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError)
