"""Sets of UIDs on the wire (RFC 3501, section 9: sequence-set)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_LINE = 900
"""Octets of a set: with it a command stays below the 1000 octets that every server takes (RFC 2683,
3.2.1.5)."""


def ranges(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers, ascending, nothing between them that was not asked for."""
    first = last = 0
    for uid in sorted(set(uids)):
        if uid == last + 1 and first:
            last = uid
            continue
        if first:
            yield first, last
        first = last = uid
    if first:
        yield first, last


def uid_sets(uids: Iterable[int]) -> Iterator[tuple[str, frozenset[int]]]:
    """Sets such as 1:3,7 that fit into one command each, with the UIDs that each stands for."""
    terms: list[str] = []
    members: set[int] = set()
    length = 0
    for first, last in ranges(uids):
        term = str(first) if first == last else f"{first}:{last}"
        if length + len(term) > _LINE:
            yield ",".join(terms), frozenset(members)
            terms, members, length = [], set(), 0
        terms.append(term)
        members.update(range(first, last + 1))
        length += len(term) + 1
    if terms:
        yield ",".join(terms), frozenset(members)
