"""The stage that turns an input into windows: streams, lines, check, batches.

It decides when a window closes, and nothing else; what is sent of it, and when, is not known here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from loader.records import Batch, Window
from loader.source.batches import BatchCutter
from loader.source.lines import LineSplitter
from loader.source.streams import InputStream

PAUSE_S = 0.1
"""An input that gives nothing for this long has paused: what is there is handed on."""
WINDOW_AGE_MAX_S = 1.0
"""An input that only trickles never pauses: after this long what is there is handed on too."""


class Reader:
    """Windows of an input from where the stream, the splitter and the cutter stand.

    A window holds `batches_per_window` batches; it closes early, with a batch of fewer records, where the
    input pauses, trickles or ends, or where the cutter's limit is reached.
    """

    def __init__(
        self, stream: InputStream, splitter: LineSplitter, cutter: BatchCutter, *, batches_per_window: int
    ) -> None:
        self._stream = stream
        self._splitter = splitter
        self._cutter = cutter
        self._batches_max = batches_per_window
        self._opened: float | None = None
        """When the first bytes of the present window arrived, on the event loop's clock."""
        self._batches: list[Batch] = []
        self.read_s = 0.0
        """Seconds that the input was waited for."""
        self.check_s = 0.0
        """Seconds that splitting, checking and cutting took."""
        self.ended = cutter.full
        """No window follows those handed on: the input has ended, or the limit is reached."""

    @property
    def next_line(self) -> int:
        """The line after those of the windows handed on; at the end: one more than there are."""
        return self._batches[0].span.first_line if self._batches else self._cutter.next_line

    @property
    def offset(self) -> int:
        """Bytes of the decompressed input that the windows handed on cover."""
        return self._batches[0].span.start if self._batches else self._cutter.offset

    @property
    def stored_bytes_read(self) -> int:
        """Bytes of the input as stored that have been read; of the stream's `stored_bytes`."""
        return self._stream.stored_bytes_read

    async def windows(self) -> AsyncIterator[Window]:
        """The windows of the input, in order.

        Raises:
            UsageError: the input is compressed and broken. Lines that are in no window yet are in none then.
            DiskError: the input cannot be read.
        """
        while not self.ended:
            began = anyio.current_time()
            data = await self._read()
            arrived = anyio.current_time()
            self.read_s += arrived - began
            if data is not None:
                items = self._splitter.feed(data) if data else self._splitter.flush()
                for batch in self._cutter.feed(items):
                    self._batches.append(batch)
                    if len(self._batches) >= self._batches_max:
                        self.check_s += anyio.current_time() - arrived
                        yield self._close_window()
                        arrived = anyio.current_time()
                self.check_s += anyio.current_time() - arrived
            over = data == b"" or self._cutter.full
            if over or data is None or self._too_old():
                rest = self._cutter.cut()
                if rest is not None:
                    self._batches.append(rest)
                self.ended = over
                if self._batches:
                    yield self._close_window()

    async def _read(self) -> bytes | None:
        """The next bytes, or None where lines wait and the input pauses."""
        if not self._stream.polled or (self._cutter.empty and not self._batches):
            self._opened = None
            return await self._stream.read()
        if self._opened is None:
            self._opened = anyio.current_time()
        return await self._stream.read_within(PAUSE_S)

    def _too_old(self) -> bool:
        return self._opened is not None and anyio.current_time() - self._opened >= WINDOW_AGE_MAX_S

    def _close_window(self) -> Window:
        window = Window(tuple(self._batches))
        self._batches = []
        self._opened = None
        return window
