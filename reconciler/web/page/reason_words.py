"""States and reasons in plain words."""

from __future__ import annotations

from reconciler.model.collector_state import CollectorState
from reconciler.web.page.page_translation import Language


def marked(text: str) -> str:
    """Return the text unchanged. The call marks a text that is translated where it is shown."""
    return text


_STATES = {
    CollectorState.DISABLED: marked("disabled"),
    CollectorState.STALLED: marked("stalled"),
    CollectorState.PAUSED: marked("paused"),
    CollectorState.FAILING: marked("failing"),
    CollectorState.WAITING: marked("waiting"),
    CollectorState.READY: marked("ready"),
}
_REASONS = {
    "AuthenticationFailed": marked("the server refuses the login"),
    "LoginRefused": marked("the server refuses the login"),
    "AccountNotReady": marked("the account is not ready at its provider"),
    "ConnectionFailed": marked("no connection to the server"),
    "SourceUnavailable": marked("the server is out of service"),
    "TlsRefused": marked("the server's certificate is not accepted"),
    "Throttled": marked("the server asks for a pause"),
    "ProtocolViolation": marked("the server's answers are not understood"),
    "SourceUnsuitable": marked("the server lacks something that is needed"),
    "DestinationUnavailable": marked("the mail system accepts no mail"),
    "SecretUnavailable": marked("the password cannot be read"),
    "PolicyRefused": marked("the policy of this service forbids it"),
    "InvalidManifest": marked("the manifest has errors"),
    "NotSupported": marked("this version cannot do what the manifest asks for"),
    "LedgerUnavailable": marked("the ledger cannot be written"),
    "InternalError": marked("a defect of mailcollector"),
    "Paused": marked("the service is paused"),
    "Parked": marked("parked messages"),
    "Stale": marked("no session for longer than the interval allows"),
}


def state_words(state: CollectorState, language: Language) -> str:
    """Return a state in one word."""
    return language.gettext(_STATES[state])


def reason_words(reason: str, language: Language) -> str:
    """Return what a reason means, in a few words; the reason itself where it is not known."""
    return language.gettext(_REASONS[reason]) if reason in _REASONS else reason
