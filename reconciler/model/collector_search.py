"""Search for collectors by text, in the same way for the command line, the API and the page."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.model.status import ShownCollector

_A_LABEL = re.compile(r"xn--([a-z0-9-]+)")


def matches(shown: ShownCollector, text: str) -> bool:
    """Return whether a collector contains every word of `text`.

    The name, title, host, user name, addresses, recipients and labels are searched. Case does not
    count in any script, and domains are compared as U-labels.
    """
    searched = searchable(shown)
    return all(word in searched for word in folded_words(text))


def searchable(shown: ShownCollector) -> str:
    """Return everything that a search reads of a collector, folded."""
    return "\n".join(map(_folded, _searched(shown)))


def folded_words(text: str) -> list[str]:
    """Return the words of a search, folded as `searchable` is."""
    return _folded(text).split()


def _searched(shown: ShownCollector) -> Iterator[str]:
    yield shown.metadata.name
    yield from (f"{key}={value}" for key, value in shown.metadata.labels.items())
    yield str(shown.spec.get("title", ""))
    source = shown.spec.get("source", {})
    yield from (str(source[field]) for field in ("host", "username", "address") if field in source)
    yield from _texts(shown.spec.get("recipient", {}))


def _texts(value: Any) -> Iterator[str]:
    """Yield every string below `value`. Keys of mappings are left out, except those of aliases,
    because only the aliases' keys are the user's words."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value.get("aliases", ())
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, Iterable):
        for part in value:
            yield from _texts(part)


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    return _A_LABEL.sub(_u_label, folded)


def _u_label(found: re.Match[str]) -> str:
    try:
        return found[1].encode("ascii").decode("punycode")
    except UnicodeError:
        return found[0]
