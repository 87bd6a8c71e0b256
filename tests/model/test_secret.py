"""Texts that quote a secret."""

from __future__ import annotations

import base64

import pytest

from reconciler.model.secret import REDACTED, Secret, excerpt, redact

LONG = Secret("correct horse battery staple " * 5)


def test_an_excerpt_is_the_beginning_of_the_redacted_text() -> None:
    said = f"no: {LONG.reveal()} is wrong"
    assert excerpt(said, [LONG], 300) == redact(said, [LONG]) == f"no: {REDACTED} is wrong"
    assert excerpt("x" * 1000, [LONG], 300) == "x" * 300
    assert excerpt("", [], 300) == ""


@pytest.mark.parametrize("before", range(0, 320, 7))
@pytest.mark.parametrize("repeated", [1, 3])
def test_a_secret_that_is_cut_at_the_end_of_an_excerpt_does_not_show(
    before: int, repeated: int
) -> None:
    said = "x" * before + LONG.reveal() * repeated + "y" * 5000
    shown = excerpt(said, [LONG], 300)
    assert shown == redact(said, [LONG])[:300]
    assert "horse" not in shown


def test_the_base64_of_a_secret_is_left_out_of_an_excerpt_too() -> None:
    said = "AUTHENTICATE PLAIN " + base64.b64encode(LONG.reveal().encode()).decode() + "z" * 400
    assert "Y29ycmVjdCBob3JzZS" not in excerpt(said, [LONG], 300)


def test_an_excerpt_looks_at_no_more_than_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of megabytes is not searched through for the sake of its first words."""
    looked: list[int] = []

    def counted(text: str, _: object) -> str:
        looked.append(len(text))
        return text

    monkeypatch.setattr("reconciler.model.secret.redact", counted)
    excerpt("x" * (1 << 20), [LONG], 300)
    assert sum(looked) < 5000


def test_S1_of_a_secret_within_another_one_nothing_is_left() -> None:
    within = [Secret("hunter"), Secret("hunter22")]
    assert redact("no hunter22, no hunter", within) == f"no {REDACTED}, no {REDACTED}"


@pytest.mark.parametrize("value", ["two\nlines x", "tab\tand x", "schlüssel\n x"])
def test_S1_a_secret_as_python_shows_it_is_left_out_to_its_end(value: str) -> None:
    shown = f"{value!r} and {value.encode()!r}"
    assert redact(shown, [Secret(value)]) == f"'{REDACTED}' and b'{REDACTED}'"
