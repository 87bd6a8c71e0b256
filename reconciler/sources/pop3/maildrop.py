"""Which messages a maildrop holds: LIST and UIDL brought together."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.model.messages import Listed

_LONGEST_UIDL = 1000  # octets; RFC 1939 allows 70, servers send more
_ODD = re.compile(rb"[^!-\[\]-~]")
_MOST_DIGITS = 10


class Maildrop(Struct, frozen=True):
    """`numbers` are the message numbers of this session by key, in their order."""

    messages: tuple[Listed, ...]
    numbers: Mapping[str, int]
    keys_stable: bool
    notes: tuple[str, ...] = ()


def maildrop(listed: Iterable[bytes], identified: Iterable[bytes] | None) -> Maildrop:
    """From the lines of LIST and UIDL; None: the server has no UIDL (hazard P1), keys are numbers of this session.

    Only what both agree on is listed (hazard P8). Of messages with the same UIDL the second gets the key "UIDL #2",
    and so on; all of them are ambiguous (hazard P2).
    """
    sizes = {number: _count(size) for number, size in _numbered(listed).items()}
    if identified is None:
        plain = [Listed(f"#{number}", sizes[number]) for number in sorted(sizes)]
        return Maildrop(tuple(plain), {f"#{number}": number for number in sizes}, keys_stable=False)
    uidls = {number: key_of(uidl) for number, uidl in _numbered(identified).items() if uidl}
    both = sorted(sizes.keys() & uidls.keys())
    lacking = len(sizes.keys() | uidls.keys()) - len(both)
    notes = (f"{lacking} messages are left alone: the server's LIST and UIDL disagree on them",) if lacking else ()
    messages, numbers = _identified(both, sizes, uidls)
    return Maildrop(tuple(messages), numbers, keys_stable=True, notes=notes)


def key_of(uidl: bytes) -> str:
    r"""A UIDL as text: what is not printable ASCII, and the backslash, as \xNN; its digest when it is very long."""
    if len(uidl) > _LONGEST_UIDL:
        return f"sha256:{hashlib.sha256(uidl).hexdigest()}"
    return _ODD.sub(lambda odd: rb"\x%02x" % odd[0][0], uidl).decode("ascii")


def _identified(both: Iterable[int], sizes: Mapping[int, int | None],
                uidls: Mapping[int, str]) -> tuple[list[Listed], dict[str, int]]:
    shared = {uidl for uidl, bearers in Counter(uidls[number] for number in both).items() if bearers > 1}
    messages: list[Listed] = []
    numbers: dict[str, int] = {}
    seen: Counter[str] = Counter()
    for number in both:
        key = uidl = uidls[number]
        if uidl in shared:
            seen[uidl] += 1
            key = uidl if seen[uidl] == 1 else f"{uidl} #{seen[uidl]}"  # no UIDL as text holds a space
        messages.append(Listed(key, sizes[number], uidl in shared))
        numbers[key] = number
    return messages, numbers


def _numbered(lines: Iterable[bytes]) -> dict[int, bytes]:
    """What each message number stands with; a number that comes twice, or is none, stands for nothing."""
    found: dict[int, bytes] = {}
    twice: set[int] = set()
    for line in lines:
        digits, _, rest = line.partition(b" ")
        number = _count(digits)
        if number is None:
            continue
        if number in found:
            twice.add(number)
        found[number] = rest.strip()
    return {number: rest for number, rest in found.items() if number not in twice} if twice else found


def _count(digits: bytes) -> int | None:
    """A number; more may follow a space (RFC 1939: "scan listing")."""
    digits = digits.partition(b" ")[0]
    return int(digits) if digits.isdigit() and len(digits) <= _MOST_DIGITS else None
