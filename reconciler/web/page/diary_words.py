"""Plain words for what happened to a collector, and for why its messages wait."""

from __future__ import annotations

from reconciler.control.collector_diary import DiaryEntry
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import marked, reason_words
from reconciler.web.page.step_words import step_words

_STEPS = {
    "start": marked("started"),
    "replace": marked("goes on with another manifest"),
    "stop": marked("stopped"),
    "hold": marked("its change is held"),
    "interrupted": marked("a session was interrupted"),
    "recovered": marked("recovered: a session succeeded again"),
}
_OF_A_PLAN = {"start", "replace", "stop", "hold"}
_PARKED = {
    "no-recipient-found": marked("no header names a recipient here"),
    "unknown-mailbox": marked("the mailbox does not exist"),
    "smtputf8-missing": marked("the mail system cannot take this address (SMTPUTF8)"),
}
_PARKED_DO = {
    "no-recipient-found": marked("Name a default mailbox in the form, or correct the domains."),
    "unknown-mailbox": marked("Create the mailbox, or name an alias or a default mailbox."),
    "smtputf8-missing": marked("Give it an alias in ASCII, or a mail system with SMTPUTF8."),
}


_VERDICTS = {
    "recipient": marked("gets it"),
    "repeated": marked("gets it already"),
    "other-domain": marked("its domain does not count here"),
    "own-address": marked("the account's own address, on every message"),
    "unknown-mailbox": marked("the mailbox does not exist"),
    "smtputf8-missing": marked("the mail system cannot take this address (SMTPUTF8)"),
    "no-address": marked("is no address"),
}
_SKIPPED = {
    "collected-before": marked("collected before"),
    "too-large": marked("too large"),
    "before-since": marked("older than wanted"),
}
_OUTCOMES = {
    "succeeded": marked("succeeded"),
    "failed": marked("failed"),
    "interrupted": marked("interrupted"),
}


def diary_words(entry: DiaryEntry, language: Language) -> str:
    """Return an entry of a diary as a short sentence."""
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
    told = step_words(entry.reason, language) if entry.what in _OF_A_PLAN and entry.reason else ""
    return f"{text} ({told})" if told else text


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
    return language.gettext(_PARKED[reason]) if reason in _PARKED else reason


def parked_advice(reason: str, language: Language) -> str:
    """Return what to do about a parked message."""
    return language.gettext(
        _PARKED_DO.get(
            reason, marked("The mail system refused it: correct that there, then try again.")
        )
    )
