"""A file that is read several times, from its beginning to where it ended when it was opened."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, cast

from engine.batch.reading.kinds import Compression, compression_of
from engine.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Passes"]

_BUFFER: Final = 256 * 1024


class Passes:
    """Opens the file for one pass after the other. What grows meanwhile is not read beyond its
    first size: what was not planned is not asked.

    Args:
        file: open for reading, with a descriptor.
        name: for errors.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._size = os.fstat(file.fileno()).st_size
        self.compression: Compression | None = compression_of(self.packed().read(8))

    def close(self) -> None:
        """Close the file; passes under way end."""
        self._file.close()

    def packed(self) -> io.BufferedReader:
        """The bytes of the file, from the beginning."""
        return io.BufferedReader(_Window(self._file, self._size), _BUFFER)

    @contextmanager
    def unpacked(self) -> Iterator[BinaryIO]:
        """The bytes, decompressed, from the beginning.

        Raises:
            ConfigError: they cannot be.
        """
        try:
            yield cast(BinaryIO, _unpacked(self.packed(), self.compression, self._name))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ConfigError(
                f"{self._name} cannot be unpacked: {error}; it is cut or damaged"
            ) from error

    def start(self) -> bytes:
        """The first bytes, decompressed.

        Raises:
            ConfigError: they cannot be.
        """
        with self.unpacked() as file:
            return file.read(4096)


class _Window(io.RawIOBase):
    """The first `size` bytes of a file, wherever others read in it."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(base + offset, 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        most = min(len(view), max(self._size - self._place, 0))
        if not most:
            return 0
        data = os.pread(self._file.fileno(), most, self._place)
        view[: len(data)] = data
        self._place += len(data)
        return len(data)


def _unpacked(file: io.BufferedReader, compression: Compression | None, name: str) -> Any:
    if compression == "gzip":
        return io.BufferedReader(gzip.GzipFile(fileobj=file, mode="rb"), _BUFFER)
    if compression == "zstd":
        return io.BufferedReader(_zstd(file, name), _BUFFER)
    return file


def _zstd(file: io.BufferedReader, name: str) -> _Zstd:
    try:
        return _Zstd(file, import_module("zstandard"))
    except ImportError as error:
        raise ConfigError(
            f"{name} is compressed by zstd, which needs a package: pip install "
            "'streamengine[zstd]'; or unpack it"
        ) from error


class _Zstd(io.RawIOBase):
    """Frames of zstd, one after the other. zstandard's own reader takes a file that is cut for one
    that ends."""

    def __init__(self, file: io.BufferedReader, library: Any) -> None:
        self._file = file
        self._library = library
        self._frame = library.ZstdDecompressor().decompressobj()
        self._within = False
        self._data = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._data and self._more():
            pass
        view = memoryview(buffer).cast("B")
        most = min(len(view), len(self._data))
        view[:most] = self._data[:most]
        self._data = self._data[most:]
        return most

    def _more(self) -> bool:
        """Unpack another piece; False: there is none."""
        packed = self._file.read1(_BUFFER)
        if not packed and self._within:
            raise EOFError("the file ends within a frame")
        if not packed:
            return False
        try:
            while packed:
                self._within = True
                self._data += self._frame.decompress(packed)
                packed = b""
                if self._frame.eof:
                    packed = self._frame.unused_data
                    self._frame = self._library.ZstdDecompressor().decompressobj()
                    self._within = False
        except self._library.ZstdError as error:
            raise EOFError(str(error)) from error
        return True
