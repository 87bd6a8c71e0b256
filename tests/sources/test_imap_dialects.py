"""IMAP as anybody may speak it: what is legal and seldom, and what is wrong and can be understood
in one way, mixed at random. Whatever the dialect, everything is found and collected."""

from __future__ import annotations

import base64
from random import Random

import pytest

from tests.servers.scripted import Client, Scripted
from tests.sources.imap_server import collect, source

MESSAGES = {
    3: b"Subject: three\r\n\r\n* 1 FETCH (UID 9)\r\n",
    4: b"Subject: four\r\n\r\n)\r\n\r\n",
    70: b"\r\n.\n\0 {5}\r\n",
}
FOLDERS = (
    "Sent Items",
    "R&D",
    "Почта/Счета",
    'a "b" c',
    "back\\slash",
    "多.点",
    "[Gmail]/All",
    "x{3}y",
    "\U0001f4ec",
)
TEXTS = (
    b"",
    b"done",
    b"] odd [x] (",
    b'"',
    b"caf\xc3\xa9",
    b"caf\xe9 {",
    b"UIDVALIDITY 9]",
    b"(Failure)",
    b"\0",
    b"a\tb",
)
NOISE = (
    b"OK still here",
    b"OK",
    b"NO [ALERT] disk nearly full",
    b"BAD what?",
    b"OK [X-NEW (a [b) c] d",
    b"OK [] x",
    b"OK [",
    b"FLAGS (\\Seen \\* [ ] $Junk \xe4)",
    b"2 RECENT",
    b"VANISHED (EARLIER) 1:2,5",
    b"VANISHED 900",
    b'ESEARCH (TAG "x") UID ALL 1:5',
    b'METADATA "" (/shared/comment "x")',
    b"METADATA INBOX /shared/comment",
    b'STATUS "a (b" (MESSAGES 3 X (y))',
    b'QUOTA "" (STORAGE 10 512)',
    b"QUOTAROOT INBOX",
    b'ACL "a" b rw',
    b"ENABLED X",
    b"ID NIL",
    b'ID ("name" {3}\r\na)b "v" NIL)',
    b"XYZZY {4}\r\na\r\nb tail",
    b"900 FETCH (FLAGS (\\Seen {))",
    b"3 FETCH (UID 70 MODSEQ (12121230956160001) EMAILID (M6) THREADID NIL SAVEDATE NIL)",
    b"902 EXPUNGE",
    b"NOTIFICATIONOVERFLOW",
    b"(what",
    b"",
    b"5",
    b"LANGUAGE (EN)",
    b"SORT 2 1",
    b"THREAD (1 2)(3)",
    b"X-GM {1}\r\nx",
)
MORE = (
    b"FLAGS (\\Seen $Forwarded)",
    b"FLAGS ()",
    b"FLAGS NIL",
    b'INTERNALDATE " 1-Jan-2026 00:00:00 +0000"',
    b"INTERNALDATE NIL",
    b"MODSEQ (624140003)",
    b'X-GM-LABELS ("\\\\Inbox" "a \\"b" \\Sent)',
    b"X-GM-MSGID 1278455344230334865",
    b'ENVELOPE ("d" "s (x" ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL NIL "<m>")',
    b"EMAILID (M6)",
    b"SAVEDATE NIL",
    b'PREVIEW "a (b)"',
    b"PREVIEW {3}\r\n)a(",
    b"BODY[HEADER.FIELDS (From To)] NIL",
    b'X-A ((NIL) (a (b)) "")',
)


class Dialect:
    """`seed` decides it all."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._loose = self._random.random()
        self._line_end = self._random.choice([b"\r\n", b"\r\n", b"\n"])
        self.delimiter = self._random.choice("/.\\|")

    def script(self, client: Client) -> None:
        client.send(b"* OK" + self._end(self._text()))
        while True:
            tag, _, command = client.line().partition(b" ")
            if command.startswith(b"UID FETCH") and b"BODY" in command:
                lines = [self._fetched(uid, body, whole=True) for uid, body in MESSAGES.items()]
            elif command.startswith(b"UID FETCH"):
                lines = [self._fetched(uid, body, whole=False) for uid, body in MESSAGES.items()]
            elif command.startswith((b"EXAMINE", b"SELECT")):
                if command.endswith(b"}"):
                    client.send(b"+" + self._end(b""))
                    client.line()
                lines = [
                    b"%d %s" % (len(MESSAGES), self._word(b"EXISTS")),
                    self._code(b"UIDVALIDITY", b"77"),
                    self._code(b"UIDNEXT", b"71"),
                ]
                self._random.shuffle(lines)
            elif command.startswith(b"LIST"):
                lines = [
                    b"".join(
                        [
                            b"LIST",
                            self._gap(),
                            b"()",
                            self._gap(),
                            self._separator(),
                            self._gap(),
                            name,
                        ]
                    )
                    for name in map(self._named, (*FOLDERS, "INBOX"))
                ]
            elif command.startswith(b"CAPABILITY"):
                lines = [
                    self._word(b"CAPABILITY")
                    + self._gap()
                    + self._word(b"IMAP4rev1")
                    + self._gap()
                    + b"X=[Y"
                ]
            else:
                lines = []
            client.send(
                b"".join(self._untagged(line) for line in lines)
                + self._noise()
                + tag
                + b" "
                + self._word(b"OK")
                + self._end(self._text())
            )

    def _untagged(self, line: bytes) -> bytes:
        return self._noise() + b"*" + self._gap() + line + self._end(b"")

    def _noise(self) -> bytes:
        chosen = self._random.choices(NOISE, k=self._random.choice((0, 0, 1, 2)))
        return b"".join(b"* " + line + b"\r\n" for line in chosen) + (
            b"\r\n" if self._odd() else b""
        )

    def _code(self, name: bytes, value: bytes) -> bytes:
        return (
            self._word(b"OK")
            + self._gap()
            + b"["
            + self._word(name)
            + self._gap()
            + value
            + b"]"
            + self._text()
        )

    def _fetched(self, uid: int, body: bytes, *, whole: bool) -> bytes:
        size = b"%d" % len(body)
        items = [
            self._word(b"UID") + self._gap() + b"%d" % uid,
            *self._random.sample(MORE, self._random.choice((0, 1, 2))),
        ]
        if whole:
            name = self._random.choice(
                (b"BODY[]", b"body[]", b"BODY[ ]", b"BODY.PEEK[]", b"RFC822")
                if self._odd()
                else (b"BODY[]",)
            )
            items.append(name + self._gap() + self._literal(body))
        else:
            written = (
                self._random.choice(
                    (b'"%s"' % size, b"{%d}\r\n%s" % (len(size), size), b"00" + size)
                )
                if self._odd()
                else size
            )
            items.append(self._word(b"RFC822.SIZE") + self._gap() + written)
        self._random.shuffle(items)
        return b"%d%s%s%s(%s)" % (
            uid,
            self._gap(),
            self._word(b"FETCH"),
            self._gap(),
            self._gap().join(items),
        )

    def _literal(self, content: bytes) -> bytes:
        form = (
            self._random.choice((b"{%d}", b"~{%d}", b"{%d+}", b"{%d} ")) if self._odd() else b"{%d}"
        )
        return form % len(content) + b"\r\n" + content

    def _separator(self) -> bytes:
        escaped = b'"' + self.delimiter.replace("\\", "\\\\").encode() + b'"'
        return (
            self._random.choice((escaped, b'"' + self.delimiter.encode() + b'"'))
            if self._odd()
            else escaped
        )

    def _named(self, name: str) -> bytes:
        raw = self._encoded(name.replace("/", self.delimiter))
        quoted = b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        plain = not any(letter in raw for letter in b'"\\(){%*') and b" " not in raw
        return self._random.choice((quoted, quoted, raw if plain else quoted, self._literal(raw)))

    def _encoded(self, name: str) -> bytes:
        if self._odd():
            return name.encode()  # UTF-8, which no server may send that was not asked to
        pieces, shifted = [], ""
        for letter in [*name, ""]:
            if letter and not letter.isascii():
                shifted += letter
                continue
            if shifted:
                code = (
                    base64.b64encode(shifted.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
                )
                pieces.append(b"&" + code + (b"" if self._odd() and not letter else b"-"))
                shifted = ""
            pieces.append(b"&-" if letter == "&" else letter.encode())
        return b"".join(pieces)

    def _word(self, word: bytes) -> bytes:
        return self._random.choice((word, word.lower(), word.title())) if self._odd() else word

    def _gap(self) -> bytes:
        return self._random.choice((b" ", b"  ", b"\t")) if self._odd() else b" "

    def _text(self) -> bytes:
        text = self._random.choice(TEXTS)
        return b" " + text if text else b""

    def _end(self, text: bytes) -> bytes:
        return text + (b" " if self._odd() else b"") + self._line_end

    def _odd(self) -> bool:
        return self._random.random() < self._loose / 3


@pytest.mark.parametrize("seed", range(60))
def test_everything_is_found_and_collected_in_every_dialect(seed: int) -> None:
    dialect = Dialect(seed)
    names = [
        name.replace(".", "/")
        if dialect.delimiter == "."
        else name.replace("\\", "/")
        if dialect.delimiter == "\\"
        else name
        for name in FOLDERS
    ]
    with Scripted(dialect.script) as server:
        opened = source(server, folders=["INBOX", *names])
        try:
            listings = list(opened.listings(writable=False))
            assert [listing.folder.name for listing in listings] == ["INBOX", *names]
            assert [note for note in listings[0].notes if "disk nearly full" not in note] == []
            for listing in listings[:2]:
                assert collect(opened, listing) == list(MESSAGES.values())
            opened.finish()
        finally:
            opened.abort()
        assert server.connections == 1
