"""What no program can be much faster than: every message of a mailbox in one command, into files,
and nothing else.

    floor.py PROTOCOL PORT USER PASSWORD CA_FILE MAILDIR none|each|batch

The last word says what is synced: nothing; each file and its directory; 100 files from 8 threads,
then the directory.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

BATCH = 100
_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


def main(
    protocol: str, port: str, user: str, password: str, ca_file: str, maildir: str, sync: str
) -> None:
    connection = socket.create_connection(("127.0.0.1", int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if protocol.endswith("s"):
        connection = ssl.create_default_context(cafile=ca_file).wrap_socket(
            connection, server_hostname="localhost"
        )
    stream = cast(BinaryIO, connection.makefile("rb", 1 << 20))
    if protocol.startswith("imap"):
        connection.sendall(
            f"1 LOGIN {user} {password}\r\n2 EXAMINE INBOX\r\n3 FETCH 1:* BODY.PEEK[]\r\n".encode()
        )
        letters, goodbye = _imap(stream), b"4 LOGOUT\r\n"
    else:
        connection.sendall(f"USER {user}\r\nPASS {password}\r\nSTAT\r\n".encode())
        count = int([stream.readline() for _ in range(4)][3].split()[1])
        connection.sendall(b"".join(b"RETR %d\r\n" % number for number in range(1, count + 1)))
        letters, goodbye = _pop3(stream, count), b"QUIT\r\n"
    _write(letters, Path(maildir), sync)
    connection.sendall(
        goodbye
    )  # never behind other commands: Dovecot may cut short what comes before


def _imap(stream: BinaryIO) -> Iterator[bytes]:
    while not (line := stream.readline()).startswith(b"3 OK"):
        if not line:
            raise ConnectionError("the server closed the connection")
        if found := _LITERAL.search(line):
            yield stream.read(int(found[1]))


def _pop3(stream: BinaryIO, count: int) -> Iterator[bytes]:
    for _ in range(count):
        if not stream.readline().startswith(b"+OK"):
            raise ConnectionError("RETR was refused")
        lines = []
        while (line := stream.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        yield b"".join(lines)


def _write(letters: Iterator[bytes], maildir: Path, sync: str) -> None:
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir(parents=True)
    tmp = maildir / "tmp"
    written: list[tuple[int, str]] = []
    with ThreadPoolExecutor(8) as threads:
        for number, letter in enumerate(letters):
            descriptor = os.open(f"{tmp}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(descriptor, letter.replace(b"\r\n", b"\n"))
            written.append((descriptor, str(number)))
            if sync != "batch" or len(written) == BATCH:
                _commit(written, maildir, sync, threads)
        _commit(written, maildir, sync, threads)


def _commit(
    written: list[tuple[int, str]], maildir: Path, sync: str, threads: ThreadPoolExecutor
) -> None:
    if sync == "batch":
        list(threads.map(os.fsync, [descriptor for descriptor, _ in written]))
    for descriptor, name in written:
        if sync == "each":
            os.fsync(descriptor)
        os.close(descriptor)
        # the floor: the call and nothing else
        os.rename(maildir / "tmp" / name, maildir / "new" / name)  # noqa: PTH104
    if sync != "none" and written:
        new = os.open(f"{maildir}/new", os.O_RDONLY)
        os.fsync(new)
        os.close(new)
    written.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
