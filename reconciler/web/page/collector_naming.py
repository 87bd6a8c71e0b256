"""Making a collector's name from its title: a DNS label, whatever the title's script."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Container

_LONGEST = 63
_LETTERS = dict(
    zip(
        "абвгдезийклмнопрстуфхыэ" + "αβγδεζηικλμνξοπρσςτυφω",
        "abvgdeziiklmnoprstufhye" + "avgdeziiklmnxoprsstyfo",
        strict=True,
    )
) | {
    "ж": "zh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu", "я": "ya",
    "ё": "e", "є": "ye", "і": "i", "ї": "yi", "ґ": "g", "ў": "u", "ј": "j", "љ": "lj", "њ": "nj",
    "ђ": "dj", "ћ": "c", "џ": "dz", "θ": "th", "χ": "ch", "ψ": "ps",
    "ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i",
}  # fmt: skip
_SPOKEN = re.compile(r"(?:LETTER|SYLLABLE|SIGN|VOWEL SIGN)(?: SMALL)? ([A-Z]{1,6})$")
"""The end of a letter's name in Unicode that tells its sound: HANGUL SYLLABLE GANG."""


def name_from(title: str, taken: Container[str]) -> str:
    """Return a name that is not `taken`: the title's letters in Latin ones, with a number where
    needed. It is empty where the title has no letter and no digit."""
    stem = _label(title)
    if not stem or stem not in taken:
        return stem
    for number in itertools.count(2):
        end = f"-{number}"
        name = stem[: _LONGEST - len(end)].rstrip("-") + end
        if name not in taken:
            return name
    raise AssertionError("there is always a next number")


def _label(title: str) -> str:
    text = unicodedata.normalize("NFKC", title).casefold()
    sounds = list(map(_latin, text))
    if None in sounds:  # a script without letters, such as Chinese: RFC 3492 writes it in ASCII
        words = "-".join(re.findall(r"\w+", text))
        return f"xn--{words.encode('punycode').decode()}"[:_LONGEST].strip("-")
    latin = "".join(sound for sound in sounds if sound is not None)
    return re.sub(r"[^a-z0-9]+", "-", latin).strip("-")[:_LONGEST].strip("-")


def _latin(letter: str) -> str | None:
    """Return the Latin letters for a letter; None where its sound is not known."""
    if letter.isascii():
        return letter
    if letter in _LETTERS:
        return _LETTERS[letter]
    plain = unicodedata.normalize("NFD", letter)[0]
    if plain != letter:
        return plain if plain.isascii() else _LETTERS.get(plain, _spoken(letter))
    return _spoken(letter)


def _spoken(letter: str) -> str | None:
    if unicodedata.category(letter).startswith("M"):
        return ""
    if not letter.isalnum():
        return "-"
    if (digit := unicodedata.digit(letter, -1)) >= 0:
        return str(digit)
    name = unicodedata.name(letter, "")
    found = _SPOKEN.search(name)
    if found is None:
        return None
    # letters of these scripts have names, such as BEH, which begin with their sound
    return found[1][: 1 if name.startswith(("ARABIC", "HEBREW")) else None].lower()
