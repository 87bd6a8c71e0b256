"""A literal too large for memory that nobody asked for in this size: kept in a temporary file until
it is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator

from reconciler.model.errors import DestinationUnavailable

_CHUNK = 1 << 18


class Large:
    """Its octets are read once. Raises DestinationUnavailable where there is no room for them."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.size = 0
        try:
            # closed when it was read, or is forgotten
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        try:
            for chunk in chunks:
                self._keep(chunk)
        except BaseException:
            self._file.close()
            raise

    def __del__(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.size

    def _keep(self, chunk: bytes) -> None:
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _no_room(error) from error
        self.size += len(chunk)

    def chunks(self) -> Iterator[bytes]:
        with self._file:
            try:
                self._file.seek(0)
                while chunk := self._file.read(_CHUNK):
                    yield chunk
            except OSError as error:
                raise _no_room(error) from error


def _no_room(error: OSError) -> DestinationUnavailable:
    return DestinationUnavailable(
        f"a large message cannot be kept in {tempfile.gettempdir()} while it is fetched: "
        f"{error.strerror}; make room there, or name another directory with TMPDIR"
    )
