"""Sample messages, the same in every run, as a Maildir stores them: LF line ends."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

_MIB = 1 << 20


def message(number: int, size: int = 400, subject: str = "", *, seed: str = "") -> bytes:
    """An ordinary message with a body of about `size` octets; `number` (and `seed`) make it unlike
    every other."""
    head = (
        f"Return-Path: <sender{number}@example.org>\n"
        f"Received: from mx.example.org by mail.example.net with ESMTP id {number:08x};"
        " Sun, 22 Nov 2026 12:00:00 +0000\n"
        f"From: Sender {number} <sender{number}@example.org>\n"
        "To: sales@example.net\n"
        f"Subject: {subject or f'Message {number}'}\n"
        "Date: Sun, 22 Nov 2026 12:00:00 +0000\n"
        f"Message-ID: <{number}.{seed or 'sample'}@example.org>\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
    )
    return head.encode() + body(f"{seed}{number}", size)


def body(seed: str, size: int) -> bytes:
    """Lines of 76 hexadecimal digits that no other seed gives, `size` octets in all, ending with
    LF."""
    block = b"".join(
        digest.hex().encode() + digest.hex()[:12].encode() + b"\n"
        for number in range(min(_MIB // 77, size // 77 + 1))
        for digest in (hashlib.sha256(f"{seed}/{number}".encode()).digest(),)
    )
    return (block * (size // len(block) + 1))[: max(size - 1, 0)] + b"\n"


def strange() -> dict[str, bytes]:
    """What mail stores really hold, by what is odd about it."""
    head = b"From: a@example.org\nTo: b@example.net\nSubject: odd\n\n"
    return {
        "empty body": b"From: a@example.org\nSubject: empty body\n\n",
        "headers only, no blank line": b"From: a@example.org\nSubject: headers only\n",
        "body only": b"\nOnly a body, and no header at all.\n",
        "headerless": b"This line is no header.\nNeither is this one.\n",
        "one line end": b"\n",
        "8-bit headers": "From: Иван <ivan@почта.рф>\nSubject: Здравствуйте\n\nтекст\n".encode(),
        "koi8-r body": head + "Здравствуйте\n".encode("koi8-r"),
        "every byte": head + bytes(byte for byte in range(256) if byte not in b"\r\n\0") + b"\n",
        "nul": head + b"before\0after\n\0\0\nend\n",
        "nul and 0x80": head + b"\x80 was here, \0 was not\n",
        "nul in a header": b"Subject: nul \0 here\n\nbody\n",
        "long line": head + b"x" * 10_000 + b"\n" + b"y" * 10_000 + b"\n",
        "lone dot": head + b"above\n.\nbelow\n",
        "leading dots": head + b"..\n...\n.leading\n. \n..two\n.\n",
        "no final line end": head + b"the last line has no end",
        "dot without line end": head + b"above\n.",
        "lone cr": head + b"one\rtwo\r three\rfour\n",
        "from line": head + b"From the start of a line\n>From quoted\n",
        "blank lines at the end": head + b"text\n\n\n\n",
        "multipart": (
            b"From: a@example.org\nSubject: parts\nMIME-Version: 1.0\n"
            b"Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\nfirst part\n"
            b"--b\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n--b--\nepilogue\n"
        ),
        "imap in the text": head + b"* BYE now\nA1 OK done\n)\n{100}\n+ go on\n",
        "header of 300 kB": b"Subject: long\n" + b"X-Filler: " + b"z" * 300_000 + b"\n\nbody\n",
    }


def sizes(count: int) -> Iterator[int]:
    """Mixed sizes that repeat every hundred: mostly small, one of 2 MB."""
    for number in range(count):
        yield (
            2_000_000
            if number % 100 == 50
            else 150_000
            if number % 25 == 7
            else 20_000
            if number % 10 == 3
            else 300 + 37 * (number % 60)
        )


def corpus(count: int, *, huge: bool = False, seed: str = "") -> list[bytes]:
    """`count` messages: the strange ones first, then ordinary ones of mixed sizes; `huge` makes the
    last one 20 MB."""
    ordinary = (message(number, size, seed=seed) for number, size in enumerate(sizes(count)))
    chosen = list(itertools.islice(itertools.chain(strange().values(), ordinary), count))
    if huge:
        chosen[-1] = message(count, 20_000_000, "Twenty megabytes", seed=seed)
    return chosen


def small(count: int, *, seed: str = "") -> list[bytes]:
    """Many small messages, no two alike."""
    return [message(number, 200, seed=seed) for number in range(count)]
