"""Where a fetch goes on after a connection on which nothing came."""

from __future__ import annotations

import pytest

from reconciler.collect.folder_fetch import reorder

ORDER = {key: place for place, key in enumerate("abcdefgh")}


@pytest.mark.parametrize(
    ("left", "last", "expected"),
    [
        ("abcdefgh", False, "efghabcd"),
        ("abcdefgh", True, "hgfedcba"),
        ("abefgh", False, "ghabef"),
        ("abcdgh", True, "dcbahg"),
        ("a", False, "a"),
        ("", True, ""),
    ],
)
def test_it_begins_in_the_middle_or_at_the_end_of_the_longest_stretch(
    left: str, last: bool, expected: str
) -> None:
    assert "".join(reorder(dict.fromkeys(left), ORDER, last=last)) == expected
