"""The types of single values in manifests: their patterns and limits.

A pattern accepts the same texts in Python and in the JSON Schema.
`manifests.checks.schema_messages` has a message for each.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, Strict, StringConstraints

_TO_59 = r"[1-5]?[0-9]"
TIMEOUT = r"^(?:(?:[1-9][0-9]|[1-5][0-9]{2}|600)s|(?:[1-9]|10)m|[1-9]m[1-5]?[0-9]s)$"  # 10s … 10m
INTERVAL = (
    r"^(?:"
    r"(?:[5-9]|[1-9][0-9]{1,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)s"  # 5s … 86400s
    r"|(?:[1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m"  # 1m … 1440m
    rf"|[1-9][0-9]{{0,2}}m{_TO_59}s|1[0-3][0-9]{{2}}m{_TO_59}s|14[0-3][0-9]m{_TO_59}s"
    rf"|(?:[1-9]|1[0-9]|2[0-3])h(?:{_TO_59}m)?(?:{_TO_59}s)?"
    r"|24h|1d)$"
)
"""5s … 24h: 90s, 1h30m, 1d."""
SIZE = r"^[1-9][0-9]{0,11}(?:[KMG]iB|[kMG]B|B)?$"
NAME = r"^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$"
"""A DNS label (RFC 1123, section 2.1), in lower case."""
ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
ADDRESS = r"^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@/]+$"
HOST = r"^[^\x00-\x20\x7f/@\\]+$"
LOCAL_PART = r"^[^\x00-\x20\x7f@]+$"
DOMAIN = r"^[^\x00-\x20\x7f@/]+$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
FINGERPRINT = r"^(?:sha256:)?[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}$"
HEADER = r"^[!-9;-~]+$"
"""A field name (RFC 5322, section 2.2)."""
_NAME = re.compile(NAME)
_UNITS = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}

T = TypeVar("T")
Name = Annotated[str, StringConstraints(pattern=NAME, max_length=63)]
Line = Annotated[str, StringConstraints(pattern=ONE_LINE, min_length=1, max_length=1024)]
Host = Annotated[str, StringConstraints(pattern=HOST, max_length=253)]
Address = Annotated[str, StringConstraints(pattern=ADDRESS, max_length=320)]
LocalPart = Annotated[str, StringConstraints(pattern=LOCAL_PART, max_length=256)]
Domain = Annotated[str, StringConstraints(pattern=DOMAIN, max_length=253)]
Path = Annotated[str, StringConstraints(pattern=ONE_LINE, min_length=1, max_length=4096)]
Interval = Annotated[str, StringConstraints(pattern=INTERVAL)]
Timeout = Annotated[str, StringConstraints(pattern=TIMEOUT)]
Size = Annotated[str, StringConstraints(pattern=SIZE)]
Items = Annotated[tuple[T, ...], Strict(strict=False)]
"""A list in the manifest; its elements stay strict."""


def _whole(value: object) -> object:
    """Return 993.0 as the integer 993, because JSON Schema treats it as one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Port = Annotated[int, Field(ge=1, le=65535), BeforeValidator(_whole)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000), BeforeValidator(_whole)]


def is_name(text: str) -> bool:
    """Return whether an object, and its file, may have this name."""
    return len(text) < 64 and _NAME.fullmatch(text) is not None


def seconds(interval: str) -> float:
    """Return the length in seconds of an `Interval` such as 5m, 90s, 1h30m or 1d."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return float(
        sum(
            int(number) * units[unit]
            for number, unit in re.findall(r"([0-9]{1,18})([dhms])", interval)
        )
    )


def octets(size: str) -> int:
    """Return the number of bytes of a `Size` such as 50MiB, 300kB or 1000."""
    number = size.rstrip("BGKMik")
    return int(number) * _UNITS[size.removeprefix(number)]
