from __future__ import annotations

import bz2
import gzip
import os
import socket
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import zstandard

from loader.errors import DiskError, ExitCode, LoaderError, UsageError
from loader.source import streams
from loader.source.streams import InputStream, open_input

CONTENT = b"".join(b'{"Last_Name":"Lead %d","Description":"%d"}\n' % (n, n * n) for n in range(60_000))
assert len(CONTENT) > 2 * streams.READ_BYTES

gz = gzip.compress
zst = zstandard.ZstdCompressor().compress
SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"


async def read_all(stream: InputStream) -> bytes:
    pieces = []
    while data := await stream.read():
        assert len(data) <= streams.READ_BYTES
        pieces.append(data)
    assert await stream.read() == b""
    return b"".join(pieces)


async def content_of(path: Path) -> bytes:
    async with await open_input(str(path)) as stream:
        return await read_all(stream)


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[InputStream, int]]:
    """A stream that reads from a pipe as stdin, and the pipe's other end."""
    read_fd, write_fd = os.pipe()
    try:
        async with await open_input("-", stdin_fd=read_fd) as stream:
            yield stream, write_fd
    finally:
        os.close(read_fd)
        os.close(write_fd)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(CONTENT, id="plain"),
        pytest.param(gz(CONTENT), id="gzip"),
        pytest.param(zst(CONTENT), id="zstd"),
        pytest.param(gz(CONTENT[:99]) + gz(b"") + gz(CONTENT[99:]), id="gzip members"),
        pytest.param(
            b"".join(gz(CONTENT[i : i + 500]) for i in range(0, len(CONTENT), 500)), id="many members"
        ),
        pytest.param(gz(CONTENT) + bytes(1000), id="gzip padded with zeros"),
        pytest.param(zst(CONTENT[:99]) + zst(b"") + zst(CONTENT[99:]), id="zstd frames"),
        pytest.param(SKIPPABLE + zst(CONTENT) + SKIPPABLE, id="zstd skippable frames"),
    ],
)
@pytest.mark.parametrize("name", ["leads.ndjson", "leads.ndjson.gz", "leads.zst"])
async def test_magic_numbers_decide_whatever_the_suffix(tmp_path: Path, stored: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(stored)
    async with await open_input(str(path)) as stream:
        assert await read_all(stream) == CONTENT
        assert stream.stored_bytes == stream.stored_bytes_read == len(stored)
        assert stream.seekable == (stored == CONTENT)
        assert not stream.polled


@pytest.mark.parametrize(
    "stored",
    [b"", b"{", b"\x1f", b"(", b"[1]\n", b"\x28\xb5\x2f", b"P*M\x17"],
)
async def test_what_only_begins_like_a_magic_number_is_plain(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(stored)
    assert await content_of(path) == stored


@pytest.mark.parametrize("compress", [gz, zst])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.9999, 1.0])
async def test_truncated_input_never_counts_as_ended(tmp_path: Path, compress: object, share: float) -> None:
    assert callable(compress)
    stored = compress(CONTENT)
    path = tmp_path / "leads.ndjson"
    path.write_bytes(stored[: max(4, min(len(stored) - 1, int(len(stored) * share)))])
    async with await open_input(str(path)) as stream:
        pieces: list[bytes] = []

        async def read() -> None:
            while data := await stream.read():
                pieces.append(data)

        with pytest.raises(UsageError) as raised:
            await read()
        with pytest.raises(UsageError):
            await stream.read()
    got = b"".join(pieces)
    assert CONTENT.startswith(got)
    # No more than what the last block holds may be missing of the content before the cut.
    assert len(got) >= share * len(CONTENT) * 0.9 - 128 * 1024
    assert raised.value.exit_code == ExitCode.USAGE
    assert f"after {len(got):,} bytes of content" in raised.value.why
    assert " -t tests a file" in raised.value.hint


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(gz(CONTENT) + b"{}\n", id="text after gzip"),
        pytest.param(gz(CONTENT) + bytes(10) + b"{}\n", id="text after padding"),
        pytest.param(gz(CONTENT)[:-8] + bytes(8), id="gzip checksum"),
        pytest.param(gz(CONTENT)[:9000] + b"\xff" * 50 + gz(CONTENT)[9050:], id="gzip damaged inside"),
        pytest.param(zst(CONTENT) + b"{}\n", id="text after zstd"),
        pytest.param(zst(CONTENT)[:9000] + b"\xff" * 50 + zst(CONTENT)[9050:], id="zstd damaged inside"),
    ],
)
async def test_damaged_input_never_counts_as_ended(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(stored)
    with pytest.raises(UsageError, match="damaged or incomplete"):
        await content_of(path)


@pytest.mark.parametrize("name", ["leads.gz", "leads.ndjson.zst"])
async def test_an_empty_file_that_is_called_compressed_is_incomplete(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(UsageError, match="empty"):
        await open_input(str(path))


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(gz(gz(bytes(200_000_000), 9)), id="gzip of gzip"),
        pytest.param(gz(bytes(200_000_000), 9), id="gzip"),
        pytest.param(zst(bytes(400_000_000)), id="zstd"),
    ],
)
async def test_a_bomb_costs_no_memory(tmp_path: Path, bomb: bytes) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(bomb)
    async with await open_input(str(path)) as stream:
        tracemalloc.start()
        try:
            for _ in range(60):
                if not await stream.read():
                    break
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * 1024 * 1024


async def test_content_that_zlib_holds_back_is_not_lost() -> None:
    from loader.source.compression import Gzip

    content = b"ab" * 5000
    for step in (1, 2, 7, 257, 258, 259):
        decoder = Gzip("x")
        got = b""
        for byte in gz(content):
            decoder.feed(bytes((byte,)))
            while not decoder.needs_input:
                piece = decoder.take(step)
                assert len(piece) <= step
                got += piece
        decoder.finish()
        assert got == content


@pytest.mark.parametrize("stored", [CONTENT[:3000], gz(CONTENT[:3000]), zst(CONTENT[:3000])])
async def test_a_pipe_may_give_one_byte_at_a_time(stored: bytes) -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd), os.fdopen(write_fd, "wb", buffering=0) as writer:
        async with await open_input("-", stdin_fd=read_fd) as stream, anyio.create_task_group() as tasks:

            async def write() -> None:
                for byte in stored:
                    writer.write(bytes((byte,)))
                    await anyio.lowlevel.checkpoint()
                writer.close()

            tasks.start_soon(write)
            assert await read_all(stream) == CONTENT[:3000]
            assert stream.stored_bytes is None
            assert stream.stored_bytes_read == len(stored)
            assert stream.polled
            assert not stream.seekable


async def test_a_silent_pipe_is_a_pause_and_loses_nothing() -> None:
    async with pipe() as (stream, write_fd):
        assert await stream.read_within(0.001) is None
        os.write(write_fd, b"{")
        assert await stream.read_within(1) == b"{"
        assert await stream.read_within(0.001) is None
        os.write(write_fd, b"}\n")
        assert await stream.read() == b"}\n"


@pytest.mark.parametrize("compress", [gz, zst])
async def test_a_compressed_pipe_that_falls_silent_in_mid_stream_pauses(compress: object) -> None:
    assert callable(compress)
    stored = compress(CONTENT[:2000])
    async with pipe() as (stream, write_fd):
        os.write(write_fd, stored[:2])
        assert await stream.read_within(0.001) is None
        os.write(write_fd, stored[2:9])
        assert await stream.read_within(0.001) is None
        os.write(write_fd, stored[9:])
        assert await stream.read_within(1) == CONTENT[:2000]


async def test_cancelling_a_read_of_a_silent_pipe_returns_at_once() -> None:
    async with pipe() as (stream, write_fd):
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.read)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        os.write(write_fd, b"{}\n")
        assert await stream.read() == b"{}\n"


async def test_a_socket_and_a_named_pipe_are_waited_for(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with await open_input("-", stdin_fd=ours.fileno()) as stream:
            theirs.sendall(b"{}\n")
            theirs.close()
            assert await read_all(stream) == b"{}\n"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with await open_input(str(fifo)) as stream:
        assert await stream.read_within(0.001) is None  # no writer yet is no end
        with fifo.open("wb", buffering=0) as writer:
            writer.write(b"[]\n")
        assert await read_all(stream) == b"[]\n"


async def test_stdin_may_be_a_file_and_is_read_from_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(b"{}\n[]\n")
    with path.open("rb", buffering=0) as file:
        file.read(3)
        async with await open_input("-", stdin_fd=file.fileno()) as stream:
            assert (stream.stored_bytes, stream.seekable) == (3, False)
            assert await read_all(stream) == b"[]\n"
        assert not file.closed
        os.fstat(file.fileno())  # stdin is not ours to close


async def test_any_offset_of_a_plain_file_can_be_gone_to(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(CONTENT)
    async with await open_input(str(path)) as stream:
        assert await read_all(stream) == CONTENT
        for offset in (0, 5, len(CONTENT) - 1, len(CONTENT)):
            await stream.seek(offset)
            assert await read_all(stream) == CONTENT[offset:]
        await stream.seek(0)
        stream.unread(b"again ")
        assert (await stream.read()) == b"again "


async def test_what_was_unread_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(gz(b"abc"))
    async with await open_input(str(path)) as stream:
        assert await stream.read() == b"abc"
        stream.unread(b"c")
        stream.unread(b"b")
        assert await read_all(stream) == b"bc"


@pytest.mark.parametrize(
    ("head", "kind", "command"),
    [
        (bz2.compress(b"{}\n"), "bzip2", "bzip2 -dc"),
        (b"\xfd7zXZ\x00\x00", "xz", "xz -dc"),
        (b"PK\x03\x04rest", "zip", "unzip -p"),
        ("{}\n".encode("utf-16"), "UTF-16", "iconv"),
    ],
)
async def test_a_file_of_another_kind_is_named(tmp_path: Path, head: bytes, kind: str, command: str) -> None:
    path = tmp_path / "leads"
    path.write_bytes(head)
    with pytest.raises(UsageError) as raised:
        await open_input(str(path))
    assert kind in raised.value.why
    assert raised.value.hint.startswith(f"{command} ")


async def test_zstd_without_its_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = tmp_path / "leads.ndjson"
    path.write_bytes(zst(b"{}\n"))
    with pytest.raises(UsageError) as raised:
        await open_input(str(path))
    assert raised.value.hint == "pip install 'crm-bulk-loader[zstd]'"


async def refusal(name: str, stdin_fd: int = 0) -> LoaderError:
    with pytest.raises(UsageError) as raised:
        await open_input(name, stdin_fd=stdin_fd)
    assert raised.value.why
    assert raised.value.hint
    return raised.value


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_input_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    before = open_files()
    assert "No such file" in (await refusal(str(tmp_path / "none"))).why
    assert "directory" in (await refusal(str(tmp_path))).why
    assert "null byte" in (await refusal("a\0b")).why
    closed = os.dup(0)
    os.close(closed)
    assert "closed" in (await refusal("-", closed)).why
    assert open_files() == before


async def test_no_permission_says_what_to_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    error = await refusal("secret.ndjson")
    assert "Permission denied" in error.why
    assert "ls -l secret.ndjson" in error.hint


async def test_a_disk_that_fails_in_mid_file_is_a_disk_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(CONTENT)

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    async with await open_input(str(path)) as stream:
        got = len(await stream.read())
        monkeypatch.setattr(os, "read", fail)
        with pytest.raises(DiskError) as raised:
            await stream.read()
    assert f"after {got:,} stored bytes: Input/output error" in raised.value.why


async def test_the_whole_of_a_wide_gzip_window_is_read(tmp_path: Path) -> None:
    # A raw stream of random bytes unfolds to less than it stores: no size of slice may be taken for granted.
    noise = os.urandom(400_000)
    packer = zlib.compressobj(0, wbits=31)
    path = tmp_path / "noise"
    path.write_bytes(packer.compress(noise) + packer.flush())
    assert await content_of(path) == noise


async def test_bytes_that_another_reader_took_are_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pipe() as (stream, write_fd):
        taken: list[bytes] = []
        read = os.read

        def late(fd: int, count: int) -> bytes:
            if not taken:
                taken.append(read(fd, count))
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return read(fd, count)

        monkeypatch.setattr(os, "read", late)
        os.write(write_fd, b"theirs\n")
        assert await stream.read_within(0.001) is None
        os.write(write_fd, b"ours\n")
        assert await stream.read() == b"ours\n"
        assert taken == [b"theirs\n"]


@pytest.mark.parametrize("bad", [b'[{"Last_Name":"a"}]\n', b'\xef\xbb\xbf\n[{"a":[1]}] \r\n\n'])
async def test_a_bad_first_line_among_records_is_no_array(tmp_path: Path, bad: bytes) -> None:
    """As rejected.ndjson may begin: the line is refused by itself, and its neighbours are loaded."""
    path = tmp_path / "rejected.ndjson"
    path.write_bytes(bad + b'{"Last_Name":"b"}\n')
    async with await open_input(str(path)) as stream:
        assert (await stream.read()).endswith(b'{"Last_Name":"b"}\n')


@pytest.mark.parametrize(
    "array", [b'[{"a":1}]\n', b'[{"a":1}]\n[{"a":2}]\n', b'[\n{"a":1}\n]', b'[{"a":[1]\n},\n{"a":2}]']
)
async def test_lines_that_are_all_arrays_and_one_array_on_many_lines_are_refused(
    tmp_path: Path, array: bytes
) -> None:
    path = tmp_path / "leads.ndjson"
    path.write_bytes(array)
    with pytest.raises(UsageError, match="JSON array"):
        async with await open_input(str(path)) as stream:
            await stream.read()
