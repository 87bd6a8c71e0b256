"""States and reasons in plain words."""

from __future__ import annotations

from reconciler.model.collector_state import CollectorState
from reconciler.web.page.page_translation import Language


def gettext_noop(text: str) -> str:
    """Return the text unchanged. The call marks a text that is translated where it is shown."""
    return text


_STATES = {
    CollectorState.DISABLED: gettext_noop("disabled"),
    CollectorState.STALLED: gettext_noop("stalled"),
    CollectorState.PAUSED: gettext_noop("paused"),
    CollectorState.FAILING: gettext_noop("failing"),
    CollectorState.WAITING: gettext_noop("waiting"),
    CollectorState.READY: gettext_noop("ready"),
}
BY_URGENCY = (
    CollectorState.STALLED,
    CollectorState.FAILING,
    CollectorState.PAUSED,
    CollectorState.WAITING,
    CollectorState.READY,
    CollectorState.DISABLED,
)
"""States in the order in which people want to know of them."""
_REASONS = {
    "AuthenticationFailed": gettext_noop("the server refuses the login"),
    "LoginRefused": gettext_noop("the server refuses the login"),
    "AccountNotReady": gettext_noop("the account is not ready at its provider"),
    "ConnectionFailed": gettext_noop("no connection to the server"),
    "SourceUnavailable": gettext_noop("the server is out of service"),
    "TlsRefused": gettext_noop("the server's certificate is not accepted"),
    "Throttled": gettext_noop("the server asks for a pause"),
    "ProtocolViolation": gettext_noop("the server's answers are not understood"),
    "SourceUnsuitable": gettext_noop("the server lacks something that is needed"),
    "DestinationUnavailable": gettext_noop("the mail system accepts no mail"),
    "SecretUnavailable": gettext_noop("the password cannot be read"),
    "PolicyRefused": gettext_noop("the policy of this service forbids it"),
    "InvalidManifest": gettext_noop("the manifest has errors"),
    "NotSupported": gettext_noop("this version cannot do what the manifest asks for"),
    "LedgerUnavailable": gettext_noop("the ledger cannot be written"),
    "InternalError": gettext_noop("a defect of mailcollector"),
    "Crowded": gettext_noop("too many large mailboxes are listed at once"),
    "DirectoryVanished": gettext_noop("the directory of manifests is not there"),
    "Failed": gettext_noop("messages failed"),
    "Held": gettext_noop("its change waits until somebody confirms it"),
    "LeaseLost": gettext_noop("another process has taken the ledger"),
    "ManifestUnreadable": gettext_noop("the manifest cannot be read"),
    "NoThread": gettext_noop("the system gives no more threads"),
    "Other": gettext_noop("other reasons"),
    "Renaming": gettext_noop("it waits until its earlier name is free"),
    "SourceFailed": gettext_noop("the server failed"),
    "Stopped": gettext_noop("it was told to stop"),
    "Paused": gettext_noop("the service is paused"),
    "Parked": gettext_noop("parked messages"),
    "Stale": gettext_noop("no session for longer than the interval allows"),
}


def state_words(state: CollectorState, language: Language) -> str:
    """Return a state in one word."""
    return language.gettext(_STATES[state])


def reason_words(reason: str, language: Language) -> str:
    """Return what a reason means, in a few words; the reason itself where it is not known."""
    return language.gettext(_REASONS[reason]) if reason in _REASONS else reason
