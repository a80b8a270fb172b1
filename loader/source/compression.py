"""Magic numbers, and decoders that give out what they decode in bounded pieces.

No I/O here: stored bytes are fed in, content is taken out. What a decoder holds does not grow with the input,
however far a few stored bytes unfold.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

from loader.errors import UsageError

GZIP = b"\x1f\x8b"  # RFC 1952, section 2.3.1
ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1
ZSTD_SKIPPABLE = tuple(bytes((first,)) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))  # RFC 8878, 3.1.2

REFUSED = {
    b"\xfd7zXZ\x00": ("an xz archive", "xz -dc {file}"),
    b"BZh": ("a bzip2 archive", "bzip2 -dc {file}"),
    b"PK\x03\x04": ("a zip archive", "unzip -p {file}"),
    b"\xff\xfe": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8 {file}"),
    b"\xfe\xff": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8 {file}"),
}
"""What every line would be invalid of, so it is named at once: what it is, and what turns it into lines."""

UNMARKED = {
    b"{\x00": ("UTF-16 text without a byte order mark", "iconv -f UTF-16LE -t UTF-8 {file}"),
    b"\x00{": ("UTF-16 text without a byte order mark", "iconv -f UTF-16BE -t UTF-8 {file}"),
}
"""The same; but each begins as lines may, so that nobody waits for its second byte."""

MAGIC = (GZIP, ZSTD, *ZSTD_SKIPPABLE, *REFUSED)

GZIP_SLICE_BYTES = 64 * 1024
"""Stored bytes handed to zlib at once: each end of a member copies what follows it in the slice."""
ZSTD_SLICE_BYTES = 256
"""Stored bytes handed to zstandard at once, which gives out all that they unfold to: a block takes 4 stored
bytes at least and holds 128 KiB at most, so 8 MiB is the worst. Larger slices are not faster."""


class Decoder(Protocol):
    """Stored bytes in, content out."""

    @property
    def needs_input(self) -> bool:
        """Nothing more can be taken before more is fed."""

    def feed(self, stored: bytes) -> None: ...

    def take(self, bytes_max: int) -> bytes:
        """Content, or nothing where it takes more stored bytes to tell."""

    def finish(self) -> None:
        """The stored bytes end here.

        Raises:
            UsageError: they break off in the middle.
        """


class Plain:
    """Content that is stored as it is."""

    def __init__(self) -> None:
        self._pending = b""

    @property
    def needs_input(self) -> bool:
        return not self._pending

    def feed(self, stored: bytes) -> None:
        self._pending += stored

    def take(self, bytes_max: int) -> bytes:
        taken, self._pending = self._pending[:bytes_max], self._pending[bytes_max:]
        return taken

    def finish(self) -> None:
        """Plain bytes may end anywhere."""


class Gzip:
    """One gzip member or many; zero bytes after the last are padding, anything else is damage."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stored = b""
        self._tail = b""
        self._member: Any = None
        self._more = False
        self._padding_may_follow = False
        self._content_bytes = 0
        self._failure: UsageError | None = None

    @property
    def needs_input(self) -> bool:
        return not (self._tail or self._stored or self._more or self._failure)

    def feed(self, stored: bytes) -> None:
        self._stored += stored

    def take(self, bytes_max: int) -> bytes:
        pieces: list[bytes] = []
        while bytes_max > 0 and not self.needs_input:
            try:
                piece = self._decode(bytes_max)
            except UsageError as failure:
                self._failure = failure
                if not pieces:
                    raise
                break
            pieces.append(piece)
            bytes_max -= len(piece)
        return b"".join(pieces)

    def finish(self) -> None:
        if self._member is not None:
            raise self._broken("the stored bytes end in mid-stream")

    def _decode(self, bytes_max: int) -> bytes:
        if self._failure:
            raise self._failure
        stored, self._tail = self._tail, b""
        if not stored and not self._more:
            stored, self._stored = self._stored[:GZIP_SLICE_BYTES], self._stored[GZIP_SLICE_BYTES:]
        if self._member is None:
            if self._padding_may_follow and stored[0] == 0:
                return self._skip_padding(stored)
            self._member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            content: bytes = self._member.decompress(stored, bytes_max)
        except zlib.error as error:
            raise self._broken(str(error)) from None
        self._content_bytes += len(content)
        self._tail = self._member.unconsumed_tail
        # zlib may hold back content although it has taken all that was stored.
        self._more = len(content) == bytes_max and not self._member.eof
        if self._member.eof:
            self._tail = self._member.unused_data
            self._member = None
            self._padding_may_follow = True
        return content

    def _skip_padding(self, stored: bytes) -> bytes:
        if stored.strip(b"\0"):
            raise self._broken("bytes that are not gzip follow")
        return b""

    def _broken(self, why: str) -> UsageError:
        return _broken(self._name, "gzip", why, self._content_bytes)


class Zstd:
    """One zstd frame or many, skippable frames among them."""

    def __init__(self, name: str) -> None:
        try:
            import zstandard  # noqa: PLC0415 - an extra; only compressed input needs it
        except ImportError:
            raise UsageError(
                f"cannot read {name}",
                why="it is compressed with zstd, and the package zstandard is not installed",
                hint="pip install 'crm-bulk-loader[zstd]'",
            ) from None
        self._zstandard = zstandard
        self._name = name
        self._stored = b""
        self._at = 0
        self._frame: Any = None
        self._content = memoryview(b"")
        self._content_bytes = 0
        self._failure: UsageError | None = None

    @property
    def needs_input(self) -> bool:
        return not (self._content or self._at < len(self._stored) or self._failure)

    def feed(self, stored: bytes) -> None:
        self._stored = self._stored[self._at :] + stored
        self._at = 0

    def take(self, bytes_max: int) -> bytes:
        pieces: list[memoryview] = []
        while bytes_max > 0 and not self.needs_input:
            if not self._content:
                try:
                    self._content = memoryview(self._decode())
                except UsageError as failure:
                    self._failure = failure
                    if not pieces:
                        raise
                    break
            piece, self._content = self._content[:bytes_max], self._content[bytes_max:]
            pieces.append(piece)
            bytes_max -= len(piece)
        return b"".join(pieces)

    def finish(self) -> None:
        if self._frame is not None:
            raise self._broken("the stored bytes end in mid-stream")

    def _decode(self) -> bytes:
        if self._failure:
            raise self._failure
        stored = self._stored[self._at : self._at + ZSTD_SLICE_BYTES]
        self._at += len(stored)
        if self._frame is None:
            self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        try:
            content: bytes = self._frame.decompress(stored)
        except self._zstandard.ZstdError as error:
            raise self._broken(str(error)) from None
        if self._frame.eof:
            self._at -= len(self._frame.unused_data)
            self._frame = None
        self._content_bytes += len(content)
        return content

    def _broken(self, why: str) -> UsageError:
        return _broken(self._name, "zstd", why, self._content_bytes)


def decoder_for(head: bytes, name: str, *, complete: bool) -> Decoder | None:
    """The decoder for an input that begins with `head`; None where it takes more bytes to tell.

    Magic numbers decide, whatever the name's suffix: a file that is called .gz and is not is read as it is.
    `complete`: nothing comes after `head`.

    Raises:
        UsageError: a kind of file that cannot be read, or nothing at all where the suffix says compressed.
    """
    for magic, (kind, command) in (REFUSED | UNMARKED).items():
        if head.startswith(magic):
            hint = how_to_pipe(command.format(file=name))
            raise UsageError(f"cannot read {name}", why=f"it is {kind}", hint=hint)
    if head.startswith(GZIP):
        return Gzip(name)
    if head.startswith((ZSTD, *ZSTD_SKIPPABLE)):
        return Zstd(name)
    if not complete and any(magic.startswith(head) for magic in MAGIC):
        return None
    if not head and name.endswith((".gz", ".zst")):
        kind = "gzip" if name.endswith(".gz") else "zstd"
        raise _broken(name, kind, "the file is empty, which no compressed file is", 0)
    return Plain()


def how_to_pipe(program: str) -> str:
    """What to do with an input that this program makes lines of. What was typed beside its name is not known
    here, and a hint that leaves the target out sends records elsewhere."""
    return (
        f"{program} | loader load - --module MODULE --load-dir DIR\nwith the other flags as they were:"
        " target, key and options"
    )


def _broken(name: str, kind: str, why: str, content_bytes: int) -> UsageError:
    command = "gzip -t" if kind == "gzip" else "zstd -t"
    return UsageError(
        f"{name} is a damaged or incomplete {kind} stream",
        why=f"after {content_bytes:,} bytes of content: {why}",
        hint=(
            f"{command} tests a file. Get the whole of it, then run the same command again: what is settled "
            "stays settled"
        ),
    )
