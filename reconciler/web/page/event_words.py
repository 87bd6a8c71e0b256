"""Plain words for what happened to a collector, and for why its messages wait."""

from __future__ import annotations

from reconciler.control.collector_events import CollectorEvent
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import gettext_noop, reason_words

_STEPS = {
    "start": gettext_noop("started"),
    "replace": gettext_noop("goes on with another manifest"),
    "stop": gettext_noop("stopped"),
    "hold": gettext_noop("its change is held"),
    "interrupted": gettext_noop("a session was interrupted"),
    "recovered": gettext_noop("recovered: a session succeeded again"),
}
_OF_A_PLAN = {"start", "replace", "stop", "hold"}
_PARKED = {
    "no-recipient-found": gettext_noop("no header names a recipient here"),
    "unknown-mailbox": gettext_noop("the mailbox does not exist"),
    "smtputf8-missing": gettext_noop("the mail system cannot take this address (SMTPUTF8)"),
}
_PARKED_DO = {
    "no-recipient-found": gettext_noop(
        "Name a default mailbox in the form, or correct the domains."
    ),
    "unknown-mailbox": gettext_noop("Create the mailbox, or name an alias or a default mailbox."),
    "smtputf8-missing": gettext_noop("Give it an alias in ASCII, or a mail system with SMTPUTF8."),
}


_VERDICTS = {
    "recipient": gettext_noop("gets it"),
    "repeated": gettext_noop("gets it already"),
    "other-domain": gettext_noop("its domain does not count here"),
    "own-address": gettext_noop("the account's own address, on every message"),
    "unknown-mailbox": gettext_noop("the mailbox does not exist"),
    "smtputf8-missing": gettext_noop("the mail system cannot take this address (SMTPUTF8)"),
    "no-address": gettext_noop("is no address"),
}
_SKIPPED = {
    "collected-before": gettext_noop("collected before"),
    "too-large": gettext_noop("too large"),
    "before-since": gettext_noop("older than wanted"),
    "vanished": gettext_noop("gone meanwhile"),
}
_OUTCOMES = {
    "running": gettext_noop("not over yet"),
    "succeeded": gettext_noop("succeeded"),
    "failed": gettext_noop("failed"),
    "interrupted": gettext_noop("interrupted"),
}


def event_words(entry: CollectorEvent, language: Language) -> str:
    """Return an event as a short sentence."""
    if entry.what == "collected":
        return language.ngettext(
            "collected %(count)s message", "collected %(count)s messages", entry.count
        ) % {"count": language.number(entry.count)}
    if entry.what == "nothing-new":
        return language.ngettext(
            "%(times)s session without new mail", "%(times)s sessions without new mail", entry.times
        ) % {"times": language.number(entry.times)}
    if entry.what == "failed":
        text = language.ngettext(
            "%(times)s session failed", "%(times)s sessions failed", entry.times
        ) % {"times": language.number(entry.times)}
        return f"{text}: {reason_words(entry.reason, language)}" if entry.reason else text
    text = language.gettext(_STEPS[entry.what])
    reason = language.translate(entry.reason) if entry.what in _OF_A_PLAN and entry.reason else ""
    return f"{text} ({reason})" if reason else text


def skipped_words(reason: str, language: Language) -> str:
    """Return why messages are skipped."""
    return language.gettext(_SKIPPED[reason]) if reason in _SKIPPED else reason


def outcome_words(outcome: str, language: Language) -> str:
    """Return how a session ended."""
    return language.gettext(_OUTCOMES[outcome]) if outcome in _OUTCOMES else outcome


def verdict_words(verdict: str, language: Language) -> str:
    """Return what came of an address."""
    return language.gettext(_VERDICTS[verdict]) if verdict in _VERDICTS else verdict


def parked_words(reason: str, language: Language) -> str:
    """Return why a message is parked; what a server said stays as it is."""
    return language.gettext(_PARKED[reason]) if reason in _PARKED else language.translate(reason)


def parked_advice(reason: str, language: Language) -> str:
    """Return what to do about a parked message."""
    return language.gettext(
        _PARKED_DO.get(
            reason, gettext_noop("The mail system refused it: correct that there, then try again.")
        )
    )
