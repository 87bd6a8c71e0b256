"""What the Maildir's tests share: messages, reading Maildirs, and a file system that fails or a
process that dies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reconciler.destinations.maildir import Maildir
from reconciler.model.messages import Account, DeliveryId, Folder
from reconciler.model.outcomes import Delivered, DeliveryOutcome

INBOX = Folder(Account("imap", "imap.example.org", 993, "sales"), "INBOX", 7)
SALES = "sales@икс.рф"
CHANGING = (
    "create",
    "write",
    "sendfile",
    "fsync",
    "link",
    "unlink",
    "rename",
    "mkdir",
    "fchown",
    "fchmod",
    "rmdir",
)
"""Calls through which a delivery changes anything; `create` is an `open` that does."""


def message(key: str = "1", epoch: int = 1, **other: Any) -> DeliveryId:
    return DeliveryId("collector", epoch, INBOX, key, **other)


def deliver(
    maildir: Maildir,
    mails: dict[str, bytes],
    recipients: Sequence[str] = (SALES,),
    *,
    settle: bool = True,
) -> list[tuple[DeliveryOutcome, ...]]:
    """One batch, all steps."""
    staged = [maildir.stage(message(key), [content], recipients) for key, content in mails.items()]
    outcomes = [outcome for _, outcome in maildir.commit(staged)]
    if settle:
        maildir.settle(staged)
    return outcomes


def contents(box: Path, *folders: str) -> Counter[bytes]:
    """What a mail program finds in these folders, by default in `new` and `cur`."""
    return Counter(
        path.read_bytes()
        for folder in folders or ("new", "cur")
        for path in (box / folder).iterdir()
    )


def names(outcomes: Sequence[Sequence[DeliveryOutcome]]) -> list[str]:
    return [outcome.name for each in outcomes for outcome in each if isinstance(outcome, Delivered)]


class Died(BaseException):
    """The process was killed."""


class Failing:
    """Wraps the calls named so that they count, and raise from a given one on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *calls: str) -> None:
        self.count = 0
        self._act: Callable[[str], None] = lambda _: None
        self._after: Callable[[str], None] = lambda _: None
        for call in calls:
            name = "open" if call == "create" else call
            monkeypatch.setattr(os, name, self._wrapped(call, getattr(os, name)))

    def _wrapped(self, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if call == "create" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            self.count += 1
            self._act(call)
            result = real(*args, **kwargs)
            self._after(call)
            return result

        return wrapped

    def die(self, at: int, *, after: bool = False) -> None:
        """From the `at`-th call on, counted from now, nothing happens any more; `after`: the
        `at`-th still does."""
        end = self.count + at

        def died(_: str) -> None:
            if self.count > end or (self.count == end and not after):
                raise Died

        def died_after(_: str) -> None:
            if self.count >= end:
                raise Died

        self._act, self._after = died, died_after if after else lambda _: None

    def fail(self, code: int, at: int = 1, *, only: bool = True) -> None:
        """The `at`-th call from now fails; not `only`: and so do all that follow."""
        end = self.count + at

        def failed(call: str) -> None:
            if self.count == end or (self.count > end and not only):
                raise OSError(code, os.strerror(code), call)

        self.heal()
        self._act = failed

    def heal(self) -> None:
        self._act = self._after = lambda _: None
