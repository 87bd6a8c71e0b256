"""Conditions in plain words: the problem, since when, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.collector_state import PAUSED
from reconciler.model.status import Condition, ShownCollector
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import gettext_noop, reason_words

_DO = {
    "AuthenticationFailed": gettext_noop(
        "Enter a password that is valid now. The next session starts at once. Until then it is "
        "seldom tried, so that the account is not locked."
    ),
    "LoginRefused": gettext_noop(
        "It is tried again with pauses. If it stays so, check the password."
    ),
    "AccountNotReady": gettext_noop(
        "Log in to the mailbox with a browser once, or ask its provider."
    ),
    "ConnectionFailed": gettext_noop(
        "It is tried again by itself. If it stays so, check the server's name, the port and the "
        "firewall."
    ),
    "SourceUnavailable": gettext_noop("It is tried again by itself when the server works again."),
    "TlsRefused": gettext_noop(
        "See whose certificate it is. If it is meant, name the CA or the fingerprint under “More”."
    ),
    "Throttled": gettext_noop("Nothing: it goes on when the server's pause is over."),
    "ProtocolViolation": gettext_noop("See whether server type and port belong together."),
    "SourceUnsuitable": gettext_noop("Choose another server type or mode."),
    "DestinationUnavailable": gettext_noop(
        "Start your mail system or free its disk. The mail waits on the server."
    ),
    "SecretUnavailable": gettext_noop(
        "Put the password where the manifest says, readable by the service, or enter it in the "
        "form."
    ),
    "PolicyRefused": gettext_noop("Ask the administrator of the service, or change the manifest."),
    "InvalidManifest": gettext_noop("Correct the manifest. Its last good version stays in force."),
    "NotSupported": gettext_noop("Use another version of mailcollector, or change the manifest."),
    "LedgerUnavailable": gettext_noop(
        "Free the disk of the state directory, or repair its database."
    ),
    "InternalError": gettext_noop("Please report it; the service's log says more."),
    "DirectoryVanished": gettext_noop("Bring the directory of manifests back."),
    "Held": gettext_noop("Look at the page of the manifests, and confirm the change there."),
    "ManifestUnreadable": gettext_noop("Let the service read the file."),
    "Renaming": gettext_noop("Nothing: it starts when the session under its old name is over."),
    "Removed": gettext_noop(
        "Confirm on the page of the manifests that it is removed, or restore it."
    ),
    "Disabled": gettext_noop("Enable it to collect again."),
}
_ACTS = {
    "AuthenticationFailed": (gettext_noop("Enter the password"), "/collectors/{name}/edit"),
    "LoginRefused": (gettext_noop("Enter the password"), "/collectors/{name}/edit"),
    "SecretUnavailable": (gettext_noop("Enter the password"), "/collectors/{name}/edit"),
    "InvalidManifest": (gettext_noop("Show the errors"), "/manifests"),
    "Removed": (gettext_noop("Look and confirm"), "/manifests"),
}
"""The link that leads to where a reason can be fixed."""
_RECONCILING = {
    "Replacing": gettext_noop("The changed manifest is taken over when the session in hand is over")
}
_FIRST = gettext_noop("No session with this manifest has succeeded yet")
CONNECT = gettext_noop(
    "Press “Connect” to get the consent of the mailbox's owner, or send them a link for it."
)
_NO_CONSENT = gettext_noop("the consent of the mailbox's owner is missing")
_NEVER_VALID = gettext_noop("Correct the manifest. It was never valid, so nothing runs.")
_LOGINS = {"SecretUnavailable", "AuthenticationFailed"}
_STALLED = gettext_noop("No mail is collected, and it does not go on by itself: %(why)s")
_FAILING = gettext_noop("No mail is collected: %(why)s")
_UNKNOWN = gettext_noop("It is tried again by itself.")


class ConditionWords(Struct, frozen=True):
    """A condition as it is shown. `message` are words of a server or of mailcollector.
    `tone` is `good`, `warn`, `bad` or `idle`; `act` is the text of a link to `path`, or ""."""

    kind: str
    tone: str
    text: str
    message: str
    to_do: str
    reason: str
    since: datetime
    act: str = ""
    path: str = ""


def condition_words(collector: ShownCollector, language: Language) -> Iterator[ConditionWords]:
    """Yield the conditions in plain words. A problem that two of them report appears once."""
    by_type = {one.type: one for one in collector.status.conditions}
    ready, stalled = by_type.get("Ready"), by_type.get("Stalled")
    is_stalled = stalled is not None and stalled.status == "True"
    same = bool(is_stalled and stalled and ready and ready.reason == stalled.reason)
    if ready is not None:
        yield _ready(ready, collector, language, stalled=same)
    reconciling = by_type.get("Reconciling")
    is_not_ready = ready is not None and ready.status == "False"
    if reconciling is not None and reconciling.status == "True" and not is_not_ready:
        text = language.gettext(_RECONCILING.get(reconciling.reason, _FIRST))
        yield _words(reconciling, "warn", text)
    if is_stalled and stalled is not None and not same:
        text = language.gettext("It does not go on by itself: %(why)s") % {
            "why": reason_words(stalled.reason, language)
        }
        yield _acting(
            _words(stalled, "bad", text, _to_do(stalled.reason, collector, language)),
            collector,
            language,
        )


def _to_do(reason: str, collector: ShownCollector, language: Language) -> str:
    """Return what to do, where the collector logs in by consent or by a password."""
    if reason in _LOGINS and _has_oauth2(collector):
        return language.gettext(CONNECT)
    if reason == "InvalidManifest" and not collector.spec.get("source"):
        return language.gettext(_NEVER_VALID)
    return advice(reason, language)


def is_consent_missing(reason: str, message: str) -> bool:
    """Return whether a login by consent fails because there is no token yet."""
    return reason == "SecretUnavailable" and "No such file" in message


def _has_oauth2(collector: ShownCollector) -> bool:
    return "oauth2" in collector.spec.get("source", {})


def _acting(found: ConditionWords, collector: ShownCollector, language: Language) -> ConditionWords:
    """Add the link to where it can be fixed, if there is one."""
    if found.reason not in _ACTS or (found.reason in _LOGINS and _has_oauth2(collector)):
        return found
    text, path = _ACTS[found.reason]
    return replace(
        found, act=language.gettext(text), path=path.format(name=collector.metadata.name)
    )


def advice(reason: str, language: Language) -> str:
    """Return what a person can do about a reason."""
    return language.gettext(_DO.get(reason, _UNKNOWN))


def _ready(
    found: Condition, collector: ShownCollector, language: Language, *, stalled: bool
) -> ConditionWords:
    """Return the condition Ready. `stalled`: the collector does not go on by itself."""
    if found.status == "True":
        return _words(found, "good", language.gettext("Mail is collected"))
    if found.reason == PAUSED:
        text = language.gettext("The service is paused: nothing is collected")
        return replace(_words(found, "warn", text), act=language.gettext("Resume"), path="/service")
    if found.status == "Unknown":
        return _words(found, "warn", language.gettext("No session is over yet"))
    if found.reason == "Disabled":
        text = language.gettext("It is disabled: nothing is collected")
        return _words(found, "idle", text, advice("Disabled", language))
    sentence = _STALLED if stalled else _FAILING
    lacks_consent = _has_oauth2(collector) and is_consent_missing(found.reason, found.message)
    why = language.gettext(_NO_CONSENT) if lacks_consent else reason_words(found.reason, language)
    text = language.gettext(sentence) % {"why": why}
    shown = _words(found, "bad", text, _to_do(found.reason, collector, language))
    return _acting(shown, collector, language)


def _words(found: Condition, tone: str, text: str, to_do: str = "") -> ConditionWords:
    message = "" if found.reason == "Disabled" or tone == "warn" else found.message
    return ConditionWords(
        found.type, tone, text, message, to_do, found.reason, found.last_transition_time
    )
