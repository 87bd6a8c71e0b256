"""The page's languages: the choice for a request, and texts, numbers and times.

The catalogue of a language is `locale/LANGUAGE.po`. It is compiled in memory when the first page in
that language is asked for. The ids of the texts are English, so English needs no catalogue.
"""

from __future__ import annotations

import functools
import io
import re
from datetime import UTC, datetime, timedelta
from gettext import NullTranslations
from importlib.resources import files

from babel.core import Locale, negotiate_locale
from babel.dates import format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations

from reconciler.model.known_providers import PROVIDERS
from reconciler.model.refusal_meaning import Meaning
from reconciler.web.page.message_words import MessageWords

LANGUAGES = {"en": "English", "ru": "Русский"}
"""Every language by its code, with its own name."""
COOKIE = "lang"
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(?::[0-9]{2}(?:\.[0-9]{1,6})?)?Z"
)
_DURATION = re.compile(r"([0-9]{1,6}) (hour|minute|second)s?")


class Language:
    """One language: texts, and how it writes numbers and times."""

    def __init__(self, code: str) -> None:
        self.code = code
        self._locale = Locale.parse(code)
        self._texts = _catalogue(code)
        self._messages = self._words() if code != "en" else None
        self._relative = functools.lru_cache(maxsize=4096)(self._relatively)
        self._number = functools.lru_cache(maxsize=4096)(self._separated)

    def prepare(self) -> None:
        """Load the language's data."""
        now = datetime.now(UTC)
        self.number(1)
        self.relative(now, now)
        self.clock(now, now)

    def gettext(self, text: str) -> str:
        return self._texts.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        return self._texts.ngettext(one, many, count)

    def pgettext(self, context: str, text: str) -> str:
        """Return a text whose English word has several meanings, such as the name of a field and
        of a button. Its msgid is `context|text`."""
        return self.gettext(f"{context}|{text}").rpartition("|")[2]

    def translate(self, message: str) -> str:
        """Return a sentence that the program made, in this language (`message_words`); what a
        server said stays as it is."""
        return self._messages.translate(message) if self._messages else message

    def _words(self) -> MessageWords:
        advice = {_numbered(text): _numbered(self.gettext(text)) for text in advice_texts()}
        return MessageWords(self.code, self._value, self._texts.plural, advice)  # type: ignore[attr-defined]

    def _value(self, text: str) -> str:
        """Return a number, a moment or a duration that stands in a sentence; "" for another
        text."""
        if _GROUPED.fullmatch(text):
            return self.number(int(text.replace(",", "")))
        if found := _MOMENT.fullmatch(text):
            return self.moment(datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00"))
        if found := _DURATION.fullmatch(text):
            return self.length(timedelta(**{f"{found[2]}s": int(found[1])}))
        return ""

    def number(self, value: float) -> str:
        """Return a number with the language's separators."""
        return self._number(value)

    def _separated(self, value: float) -> str:
        return str(format_decimal(value, locale=self._locale))

    def octets(self, count: int) -> str:
        """Return a size in decimal units, one digit: 999 B, 1.2 kB, 34.5 MB."""
        if count < 1000:
            return f"{count} {self.gettext('B')}"
        units = ("kB", "MB", "GB", "TB")
        step = next((at for at in (1, 2, 3) if count < 999.95 * 1000**at), 4)
        size = format_decimal(count / 1000**step, "#,##0.0", locale=self._locale)
        return f"{size} {self.gettext(units[step - 1])}"

    def length(self, duration: timedelta) -> str:
        """Return a duration by its largest unit: 3 minutes."""
        return str(format_timedelta(duration, threshold=1.1, locale=self._locale))

    def relative(self, when: datetime, now: datetime) -> str:
        """Return a moment as seen from `now`: 3 minutes ago, in 2 hours."""
        return self._relative(round((when - now).total_seconds()))

    def due(self, when: datetime, now: datetime) -> str:
        """Return when something is due: in 2 hours, or now where it is late."""
        return self.relative(max(when, now), now)

    def _relatively(self, seconds: int) -> str:
        if not seconds:
            return self.gettext("now")
        return str(
            format_timedelta(
                timedelta(seconds=seconds), threshold=1.1, add_direction=True, locale=self._locale
            )
        )

    def moment(self, when: datetime) -> str:
        """Return a moment to the minute, with its zone."""
        return str(format_datetime(when, "d MMM y, HH:mm z", locale=self._locale))

    def clock(self, when: datetime, now: datetime) -> str:
        """Return the time of day, with the day where that is not `now`'s."""
        pattern = "HH:mm z" if when.date() == now.date() else "d MMM, HH:mm z"
        return str(format_datetime(when, pattern, locale=self._locale))


def advice_texts() -> set[str]:
    """Return every text of advice about refusals."""
    ours = {text for provider in PROVIDERS for text in provider.advice.values()}
    return ours | {meaning.value for meaning in Meaning}


def _numbered(advice: str) -> str:
    """Return advice as a template of `message_words`."""
    return advice.replace("{protocol}", "{0}")


@functools.lru_cache(maxsize=len(LANGUAGES))
def language(code: str) -> Language:
    """Return a language of `LANGUAGES`."""
    return Language(code)


def preferred(cookie: str | None, accept: str) -> Language:
    """Return the language that somebody chose, else the first one that the browser accepts
    (RFC 9110, section 12.5.4), else English."""
    if cookie in LANGUAGES:
        return language(str(cookie))
    wanted = [tag.split("-")[0].lower() for tag, _ in sorted(_tags(accept), key=_by_weight)]
    return language(negotiate_locale(wanted, LANGUAGES) or "en")


def _tags(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept[:1000].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            found.append((tag.strip(), float(weight or 1)))
        except ValueError:
            continue
    return [(tag, weight) for tag, weight in found if tag and weight > 0]


def _by_weight(found: tuple[str, float]) -> float:
    return -found[1]


def _catalogue(code: str) -> NullTranslations:
    file = files("reconciler.web.page") / "locale" / f"{code}.po"
    if code == "en":
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(file.read_bytes()), locale=code))
    compiled.seek(0)
    return Translations(compiled)
