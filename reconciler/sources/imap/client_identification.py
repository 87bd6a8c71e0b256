"""How this client names itself to servers that ask (ID, RFC 2971).

Some servers let no unknown program open a folder.
"""

from __future__ import annotations

import functools

from msgspec import Struct

from reconciler.sources.imap.imap_strings import quoted

NAME = "mailcollector"


class ClientIdentity(Struct, frozen=True):
    """The client's name and version, and nothing about the machine or its users.

    `support` is an address that the provider can turn to, or "".
    """

    support: str = ""

    def arguments(self) -> bytes:
        """Return the parenthesised list of fields and values (RFC 2971, section 3.3)."""
        fields = {"name": NAME, "version": _version(), "vendor": NAME}
        if self.support:
            is_url = ":" in self.support
            fields["support-url"] = self.support if is_url else f"mailto:{self.support}"
            fields["contact"] = self.support.removeprefix("mailto:")
        pairs = (b"%s %s" % (_value(name), _value(text)) for name, text in fields.items())
        return b"(" + b" ".join(pairs) + b")"


@functools.cache
def _version() -> str:
    from importlib import metadata  # noqa: PLC0415  # few servers ask

    return metadata.version(NAME)


def _value(text: str) -> bytes:
    printable = "".join(letter for letter in text if letter.isascii() and letter.isprintable())
    return quoted(printable.encode())
