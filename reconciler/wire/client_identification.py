"""Who we are, for servers that want to know (RFC 2971). Some let no unknown program open a
folder."""

from __future__ import annotations

import functools

from msgspec import Struct

NAME = "mailcollector"


class ClientIdentity(Struct, frozen=True):
    """Nothing of the machine or its people; `support` is an address to turn to, if one is
    configured."""

    support: str = ""

    def arguments(self) -> bytes:
        """A parenthesised list of fields and values (RFC 2971, section 3.3)."""
        fields = {"name": NAME, "version": _version(), "vendor": NAME}
        if self.support:
            fields["support-url"] = (
                self.support if ":" in self.support else f"mailto:{self.support}"
            )
            fields["contact"] = self.support.removeprefix("mailto:")
        return (
            b"("
            + b" ".join(
                b"%s %s" % (_quoted(name), _quoted(value)) for name, value in fields.items()
            )
            + b")"
        )


@functools.cache
def _version() -> str:
    from importlib import metadata  # noqa: PLC0415  # few servers ask

    return metadata.version(NAME)


def _quoted(text: str) -> bytes:
    plain = "".join(letter for letter in text if letter.isascii() and letter.isprintable())
    return b'"' + plain.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
