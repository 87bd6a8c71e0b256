"""Parts of secrets in what a stranger said."""

from __future__ import annotations

import base64

import pytest

from reconciler.model.secret import REDACTED, Secret
from reconciler.model.secret_parts import PART, SecretParts, foreign_words

SECRET = 'corr3ct "horse\\ stäple'
RAW = SECRET.encode()
MARK = REDACTED.encode()


def hidden(text: bytes, secret: str = SECRET) -> bytes:
    return SecretParts([Secret(secret)]).hide(text)


@pytest.mark.parametrize(
    "form",
    [
        RAW,
        RAW.upper(),
        SECRET.encode("latin-1"),
        SECRET.replace("\\", "\\\\").replace('"', '\\"').encode(),
        repr(SECRET)[1:-1].encode(),
        RAW.hex().encode(),
        RAW.hex().upper().encode(),
        b"corr3ct%20%22horse%5C%20st%C3%A4ple",
        b"corr3ct+%22horse%5C+st%C3%A4ple",
        b"corr3ct &quot;horse\\ st\xc3\xa4ple",
        b'corr3ct \\"horse\\\\ st\\u00e4ple',
    ],
)
def test_S1_a_secret_is_found_in_every_form(form: bytes) -> None:
    assert hidden(b"said " + form + b", and no more") == b"said " + MARK + b", and no more"


@pytest.mark.parametrize("before", [b"", b"\0", b"\0u\0", b"user\0user\0", b"user=u\x01auth="])
@pytest.mark.parametrize("after", [b"", b"\x01\x01", b"xyz"])
def test_S1_a_secret_is_found_within_base64(before: bytes, after: bytes) -> None:
    shown = hidden(b"said " + base64.b64encode(before + RAW + after)).partition(b" ")[2]
    assert MARK in shown
    for at in range(3):
        encoded = base64.b64encode(b"\0" * at + RAW)
        assert not [
            encoded[i : i + PART]
            for i in range(4, len(encoded) - 8)
            if encoded[i : i + PART] in shown
        ]


def test_S1_every_part_of_six_octets_is_found_and_no_shorter_one() -> None:
    for begin in range(len(RAW)):
        for end in range(begin + 1, len(RAW) + 1):
            part = RAW[begin:end]
            found = hidden(b"<" + part + b">") != b"<" + part + b">"
            assert found is (len(part) >= PART), part


def test_S1_a_short_secret_is_found_as_a_whole() -> None:
    assert hidden(b"you sent 1234, not 123", "1234") == b"you sent " + MARK + b", not 123"
    assert hidden(b"nothing", "") == b"nothing"


def test_neighbours_stay() -> None:
    assert hidden(b"a corr3ct b horse\\ st c", "corr3ct") == b"a " + MARK + b" b horse\\ st c"


def test_what_a_server_said_is_cut_after_it_was_searched() -> None:
    assert foreign_words("no such login: corr3ct " + "x" * 50, [Secret(SECRET)], 40) == (
        f"no such login: {REDACTED}" + "x" * 15
    )
