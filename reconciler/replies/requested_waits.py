"""The time that a server asks to wait, in any unit, as a time of day or as a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = 86400.0
"""Seconds of the longest wait; a server that names more is asked again after these."""
_UNITS: dict[float, str] = {
    0.001: (
        "ms|msec|msecs|millisec|millisecs|millisecond|milliseconds|millisekunde|millisekunden|"
        "milliseconde|millisecondes|milisegundos|millisecondi|milissegundos|мс|миллисекунда|"
        "миллисекунды|миллисекунд|毫秒|ミリ秒"
    ),
    1.0: (
        "s|sec|secs|second|seconds|second(s)|sek|sekunde|sekunden|seconde|secondes|segundo|"
        "segundos|secondi|secondo|sekund|sekundy|seconden|с|сек|секунда|секунду|секунды|секунд|秒|"
        "秒钟|秒鐘|초"
    ),
    60.0: (
        "m|min|mins|minute|minutes|minute(s)|minuten|minuto|minutos|minuti|minut|minuty|minuut|мин|"
        "минута|минуту|минуты|минут|хвилин|分|分钟|分鐘|분"
    ),
    3600.0: (
        "h|hr|hrs|hour|hours|hour(s)|stunde|stunden|std|heure|heures|hora|horas|ora|ore|godzin|"
        "godziny|godzinę|uur|ч|час|часа|часов|годин|小时|小時|时|個小時|个小时|時間|시간"
    ),
    86400.0: (
        "d|day|days|day(s)|tag|tage|tagen|jour|jours|día|días|dia|dias|giorno|giorni|dni|dzień|dag|"
        "dagen|день|дня|дней|сутки|суток|天|日|일"
    ),
}
_SECONDS = {word: seconds for seconds, words in _UNITS.items() for word in words.split("|")}
_WORDS = "|".join(sorted(map(re.escape, _SECONDS), key=len, reverse=True))
_ARTICLES = "a|an|one|ein|eine|einer|einem|une|un|una|uno|один|одну|через|на"
_ONE = dict.fromkeys(_ARTICLES.split("|"), 1.0) | {"half an": 0.5}
_ONE_WIDE = {"一": 1.0, "半": 0.5}
_AMOUNT = re.compile(
    rf"(?:(?<![\d:\[])(?<!\d[.,])(\d{{1,10}}(?:[.,]\d{{1,3}})?) ?|\b({'|'.join(_ONE)}) |([一半]))"
    rf"({_WORDS})(?![^\W\d_一-鿿가-힣])"
)
"""A number after `[` is no amount: it may be the rest of a terminal's colour code."""
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?![\d:])")
_AT = re.compile(
    r"(?:\b(?:at|until|till|after|before|um|bis|ab|à|jusqu'à|до|в|после|a las|hasta|alle|fino alle)"
    r"|[于在至到]) ?$"
)
_ZONE = re.compile(r" ?(?:(z|utc|gmt)\b|([+-])(\d{2}):?(\d{2}))?")
_DATE = re.compile(
    r"(?<!\d)(?:(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{1,2})\.(\d{1,2})\.(\d{4}))"
    r"[t, ]{1,2}(?:um |в |at )?(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?"
)
_RFC_DATE = re.compile(
    r"(?<!\d)\d{1,2} (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6} \d{4} "
    r"\d{2}:\d{2}(?::\d{2})?(?: (?:gmt|utc|[+-]\d{4}))?"
)
_CUE = re.compile(
    r"again|retry|wait|come back|not before|try (?:in|after)|back ?-?off|later|delay|until|повтор|"
    r"подожд|попроб|через|warten|erneut|wieder|réessay|patient|attend|dans|intente|espere|riprov"
    r"|spróbuj|请|請|再试|重试|お待ち|して"
)
_BARE = re.compile(
    r"(?:again|retry|back ?-?off|wait|delay)[ _-]?(?:after|time|in|for)?[ :=]{0,3}"
    r"(\d{1,10})(?![\d.:])"
    r"|\[[a-z-]{1,20}[ =](\d{1,6})\]"
)


def seconds_named(text: str, now: datetime) -> float | None:
    """Return the seconds that a text asks to wait, at most `LONGEST`; None where it names no time.

    `text` is normalised and bounded (`reply_meaning.normalised`). `now` has a time zone.
    """
    cue = _CUE.search(text)
    if cue is not None:  # without a word of waiting, a moment is only a time stamp
        after_cue = text[cue.start() :]
        if (moment := _date(after_cue, now)) is not None:
            return _bounded(moment)
        after_cue, text = _DATE.sub(" ", after_cue), _DATE.sub(" ", text)
        for read in (_clock, _amount, _bare):
            if (found := read(after_cue, now)) is not None:
                return _bounded(found)
    return _bounded(_amount(text, now) or _bare(text, now))


def asks_to_wait(text: str) -> bool:
    """Return whether a text has a word of waiting."""
    return _CUE.search(text) is not None


def _bounded(seconds: float | None) -> float | None:
    return min(seconds, LONGEST) if seconds is not None and seconds > 0 else None


def _amount(text: str, _: datetime) -> float | None:
    """Return the seconds of an amount: "299961 milliseconds", "an hour", "1 hour 30 minutes".

    Amounts side by side are added up.
    """
    total, end = 0.0, -1
    for match in _AMOUNT.finditer(text):
        if end >= 0 and text[end : match.start()].strip(" ,") not in {"", "and", "und", "et", "и"}:
            break
        count = (
            float(match[1].replace(",", "."))
            if match[1]
            else _ONE[match[2]]
            if match[2]
            else _ONE_WIDE[match[3]]
        )
        total += count * _SECONDS[match[4]]
        end = match.end()
    return total if end >= 0 else None


def _clock(text: str, now: datetime) -> float | None:
    """Return the seconds of a length ("00:15:00"), or until a moment ("until 14:30 UTC").

    A moment without a zone is taken for UTC. None where it is past.
    """
    match = _CLOCK.search(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    zone = _ZONE.match(text, match.end())
    if not _AT.search(text[: match.start()]) and not (zone and zone[0].strip()):
        return hours * 3600.0 + minutes * 60.0 + seconds
    if hours > 23:
        return None
    moment = now.replace(
        hour=hours, minute=minutes, second=seconds, microsecond=0, tzinfo=UTC
    ) - _offset(zone)
    ahead = (moment - now).total_seconds() % 86400
    return ahead if ahead < 43200 else None


def _date(text: str, now: datetime) -> float | None:
    """Return the seconds until the first date with a time in the text; None where it has none."""
    if match := _RFC_DATE.search(text):
        try:
            moment = parsedate_to_datetime(match[0])
        except ValueError:
            return None
        return (
            (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment) - now
        ).total_seconds()
    match = _DATE.search(text)
    if match is None:
        return None
    year, month, day, first, second, last, *clock = (int(part or 0) for part in match.groups())
    try:
        moment = datetime(
            year or last, month or second, day or first, clock[0], clock[1], clock[2], tzinfo=UTC
        )
    except ValueError:
        return None
    return (moment - _offset(_ZONE.match(text, match.end())) - now).total_seconds()


def _offset(zone: re.Match[str] | None) -> timedelta:
    if zone is None or not zone[2]:
        return timedelta()
    length = timedelta(hours=int(zone[3]), minutes=int(zone[4]))
    return length if zone[2] == "+" else -length


def _bare(text: str, now: datetime) -> float | None:
    """Return the seconds of a number without a unit: "Retry-After: 120".

    A number above 1e9 is a moment, in seconds since 1970.
    """
    match = _BARE.search(text)
    if match is None:
        return None
    number = float(match[1] or match[2])
    return number - now.timestamp() if number > 1e9 else number
