"""Find the local mailbox of a remote address, and whether it exists."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.mail.addresses import a_label, comparison_form, quoted, u_label
from reconciler.model.spec import Detect

Exists = Callable[[str], bool | None]
"""Takes an address; returns whether the destination has this mailbox. None means that only a
delivery can tell, and counts as yes."""


class Mailboxes:
    """The manifest's `from`, `to`, `mailboxes` and `aliases`, prepared for lookups."""

    def __init__(self, detect: Detect, exists: Exists) -> None:
        self._domains = {a_label(domain) for domain in detect.from_}
        self._to = u_label(detect.to)
        self._aliases = {comparison_form(remote): local for remote, local in detect.aliases.items()}
        self._targets = {comparison_form(local): local for local in self._aliases.values()}
        self._asked = detect.mailboxes is None
        self._declared = {comparison_form(local): local for local in detect.mailboxes or ()}
        self._exists = exists

    def accepts(self, domain: str) -> bool:
        """Return whether addresses of this domain count."""
        return a_label(domain) in self._domains

    def declares(self, local: str) -> bool:
        """Return whether the manifest names this remote local part, as a mailbox or an alias."""
        return comparison_form(local) in self._declared or comparison_form(local) in self._aliases

    def find(self, local: str) -> tuple[str, str] | None:
        """Return the local mailbox of a remote local part and the rule that names it, or None if
        there is no such mailbox.

        Raises whatever the destination raises when it is asked.
        """
        key = comparison_form(local)
        for rule, known in (
            ("aliases", self._aliases),
            ("mailboxes", self._declared),
            ("aliases", self._targets),
        ):
            if key in known:
                return f"{known[key]}@{self._to}", rule
        return self._ask(local) if self._asked else None

    def _ask(self, local: str) -> tuple[str, str] | None:
        """Ask the destination, first in lower case, as most mailboxes are named."""
        for form in dict.fromkeys((local.lower(), local)):
            address = f"{quoted(form)}@{self._to}"
            if self._exists(address) is not False:
                return address, "destination"
        return None
