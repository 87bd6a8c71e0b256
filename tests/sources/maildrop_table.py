"""What is listed of a maildrop, whatever a server answers to CAPA, LIST, UIDL and STAT, as a table.

`python -m tests.sources.maildrop_table` writes `maildrop_table.txt` anew: read the difference, each
line of it is a change of behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from reconciler.model.errors import SourceError
from reconciler.model.messages import Listing
from tests.servers.scripted import Scripted
from tests.sources.pop3_scripts import (
    CAPABILITIES,
    Reply,
    listing_of,
    multiline,
    replies,
    source_of,
    speak,
)

TABLE = Path(__file__).with_suffix(".txt")
_MESSAGES = [b"a\r\n", b"bb\r\n", b"ccc\r\n"]
_CAPABILITIES = {
    "all": CAPABILITIES,
    "no pipelining": (b"USER", b"UIDL"),
    "no UIDL": (b"USER", b"PIPELINING"),
    "unknown": (),
}
_LIST = {
    "whole": multiline(b"1 3", b"2 4", b"3 5"),
    "two of three": multiline(b"1 3", b"3 5"),
    "nothing": multiline(),
    "odd": multiline(b"1 3", b"x 4", b"3 999999999999999999999"),
    "refused": b"-ERR no\r\n",
    "refused for now": b"-ERR [SYS/TEMP] later\r\n",
    "in use": b"-ERR [IN-USE] locked\r\n",
}
_UIDL = {
    "whole": multiline(b"1 a", b"2 b", b"3 c"),
    "two of three": multiline(b"1 a", b"2 b"),
    "nothing": multiline(),
    "twins": multiline(b"1 a", b"2 a", b"3 c"),
    "refused": b"-ERR no\r\n",
    "refused for now": b"-ERR [SYS/TEMP] later\r\n",
}
_STAT = {"three": b"+OK 3 12\r\n", "empty": b"+OK 0 0\r\n", "refused": b"-ERR no\r\n"}


def lines() -> Iterator[str]:
    for (offers, capabilities), (sizes, listed), (uidls, identified) in product(
        _CAPABILITIES.items(), _LIST.items(), _UIDL.items()
    ):
        told: dict[str, list[str]] = {}
        for stat, reply in _STAT.items() if listed.startswith(b"-ERR no") else [("three", b"")]:
            bent: dict[bytes, Reply] = {b"LIST": listed, b"UIDL": identified}
            bent |= {b"STAT": reply} if reply else {}
            bent |= {} if capabilities else {b"CAPA": b"-ERR what?\r\n"}
            told.setdefault(_listed(bent, capabilities), []).append(stat)
        for line, stats in told.items():
            where = f"; STAT {', '.join(stats)}" if len(told) > 1 else ""
            yield f"CAPA {offers}; LIST {sizes}; UIDL {uidls}{where}: {line}"


def _listed(bent: dict[bytes, Reply], capabilities: tuple[bytes, ...]) -> str:
    with Scripted(speak(replies(_MESSAGES, capabilities, bent))) as server:
        source = source_of(server)
        try:
            listing = listing_of(source)
            source.finish()
        except SourceError as error:
            return f"{type(error).__name__} {error}".replace(f":{server.port}", "")
        finally:
            source.abort()
        return _shown(listing)


def _shown(listing: Listing) -> str:
    messages = " ".join(
        f"{each.key}({'?' if each.size is None else each.size}){'~' * each.ambiguous}"
        for each in listing.messages
    )
    stable = "" if listing.keys_stable else ", keys do not last"
    partial = ", partial" if listing.partial else ""
    notes = "".join(f"; {note}" for note in listing.notes)
    return f"{messages or 'nothing'}{stable}{partial}{notes}"


if __name__ == "__main__":
    TABLE.write_text("".join(f"{line}\n" for line in lines()))
