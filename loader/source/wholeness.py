"""Whether a compressed file was whole when it was shorter: then something was appended to it."""

from __future__ import annotations

import os

from loader.errors import DiskError, UsageError
from loader.source.compression import decoder_for
from loader.source.lookup import HEAD_BYTES
from loader.source.streams import COMPRESSED_READ_BYTES


def whole_at(path: str, size: int) -> bool:
    """Whether the first `size` stored bytes of a gzip or zstd file end where a member or a frame ends.

    Unpacks that much, in flat memory, in the calling thread.

    Raises:
        DiskError: the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _ends_whole(descriptor, path, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DiskError(f"cannot read {path}", why=error.strerror or str(error)) from None


def _ends_whole(descriptor: int, path: str, size: int) -> bool:
    try:
        decoder = decoder_for(os.pread(descriptor, min(size, HEAD_BYTES), 0), path, complete=True)
        assert decoder is not None, "complete: it decides on what there is"
        while size > 0 and (stored := os.read(descriptor, min(size, COMPRESSED_READ_BYTES))):
            size -= len(stored)
            decoder.feed(stored)
            while decoder.take(COMPRESSED_READ_BYTES):
                pass
        decoder.finish()
    except UsageError:
        return False  # damaged, or it breaks off in the middle
    return size == 0
