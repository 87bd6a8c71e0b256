"""Causes in plain words: what is wrong, whom it concerns, what to do, and the button for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from reconciler.control.failure_causes import Cause
from reconciler.model.refusal_meaning import Meaning
from reconciler.web.access.roles import Role
from reconciler.web.page.condition_words import CONNECT, is_consent_missing
from reconciler.web.page.list_address import address_of
from reconciler.web.page.page_translation import Language
from reconciler.web.page.reason_words import gettext_noop, reason_words

_LONGEST = 300
"""Characters of a server's words that are shown."""
_NAMES = 3
"""The number of collectors that a cause links; the others are behind one link."""
_HOSTS = {
    "SourceUnavailable": gettext_noop("%(host)s is out of service"),
    "TlsRefused": gettext_noop("%(host)s shows a certificate that is not accepted"),
    "ProtocolViolation": gettext_noop("%(host)s answers what cannot be understood"),
    "Throttled": gettext_noop("%(host)s asks for a pause"),
    "AccountNotReady": gettext_noop("%(host)s says that the account is not ready"),
}
_APP_PASSWORD = gettext_noop("%(host)s wants an app password")
_LOGIN = gettext_noop("%(host)s refuses the login")
_REFUSED = gettext_noop("%(host)s refuses connections")
_NO_CONSENT = gettext_noop("The consent of the mailbox's owner is missing")
_NEVER_VALID = gettext_noop("Correct the manifest. It was never valid, so nothing runs.")
_AWAY = gettext_noop("%(host)s cannot be reached")
_TO_DO = {
    "host": gettext_noop(
        "One collector tries again every half minute, the others follow. If it stays so, ask the "
        "provider, or check the name and the firewall."
    ),
    "destination": gettext_noop(
        "Start your mail system or free its disk. Collecting goes on by itself; the mail waits on "
        "the servers."
    ),
    "login": gettext_noop("Enter a password that is valid now. The next session starts at once."),
    "manifest": gettext_noop(
        "Correct the manifest. Until then its last good version stays in force."
    ),
    "failure": gettext_noop(
        "It is tried again by itself. The collector's page shows what was said."
    ),
    "stale": gettext_noop("Look whether the service has too much to do."),
    "parked": gettext_noop(
        "Nobody could be found for these messages, or they were refused. They stay on the server. "
        "Create the mailbox or change the collector, then try again."
    ),
}


class CauseButton(Struct, frozen=True):
    """A button: a link to `path`, or a form that posts the collectors' names to it."""

    text: str
    path: str
    post: bool = False
    names: Sequence[str] = ()
    role: str = Role.VIEW.value


class ShownCause(Struct, frozen=True):
    """A cause. `more` is the number of collectors that are not linked, and `rest` leads to them.
    `message` are words of a server or of mailcollector."""

    text: str
    whom: str
    to_do: str
    message: str
    advice: str
    since: datetime | None
    next_attempt: datetime | None
    names: Sequence[str]
    more: str
    rest: str
    button: CauseButton | None
    grave: bool


def shown_cause(cause: Cause, language: Language, wants: str = "") -> ShownCause:
    """Return a cause as it is shown. `wants`: what its only collector lacks, `password` or
    `consent`, where that can be given here."""
    lacks_consent = wants == "consent" and is_consent_missing(cause.reason, cause.message)
    more = cause.collectors - min(len(cause.names), _NAMES)
    return ShownCause(
        text=_matter(cause, language) if not lacks_consent else language.gettext(_NO_CONSENT),
        whom=_whom(cause, language),
        to_do=_to_do(cause, language) if not lacks_consent else language.gettext(CONNECT),
        message=_message(cause, language),
        advice=_advice(cause, language),
        since=cause.since,
        next_attempt=cause.next_attempt,
        names=cause.names[:_NAMES],
        more=_counted(language, "%(count)s more", "%(count)s more", more) if more else "",
        rest=_rest(cause),
        button=_button(cause, language, wants),
        grave=cause.kind != "parked",
    )


def _message(cause: Cause, language: Language) -> str:
    """Return the words of a server, without our advice."""
    words = cause.message.removesuffix(cause.advice).rstrip()
    return language.translate(words)[:_LONGEST]


def _advice(cause: Cause, language: Language) -> str:
    """Return the advice; "" where it says no more than what to do."""
    is_shown_already = cause.advice.rstrip() == Meaning.WRONG_PASSWORD.value
    return "" if is_shown_already else language.translate(cause.advice)


def _matter(cause: Cause, language: Language) -> str:
    if cause.kind == "parked":
        return _counted(
            language, "%(count)s message is parked", "%(count)s messages are parked", cause.messages
        )
    if cause.kind == "destination":
        text = language.gettext("The mail system %(destination)s accepts no mail")
        return text % {"destination": cause.destination}
    if text := _host_matter(cause):
        return language.gettext(text) % {"host": cause.host}
    words = reason_words(cause.reason, language)
    is_ours = cause.reason in {"SecretUnavailable", "PolicyRefused", "LedgerUnavailable"}
    return f"{cause.host}: {words}" if cause.host and not is_ours else _capital(words)


def _host_matter(cause: Cause) -> str:
    """Return the sentence about a host; "" if the reason is not about one."""
    text = f"{cause.advice} {cause.message}".lower()
    if cause.kind == "login":
        return _APP_PASSWORD if "app password" in text else _LOGIN
    if cause.kind not in {"host", "failure"}:
        return ""
    if cause.reason == "ConnectionFailed":
        return _REFUSED if "refused" in text else _AWAY
    return _HOSTS.get(cause.reason, "")


def _whom(cause: Cause, language: Language) -> str:
    collectors = _counted(language, "%(count)s collector", "%(count)s collectors", cause.collectors)
    if not cause.people:
        return collectors
    people = _counted(language, "%(count)s person", "%(count)s people", cause.people)
    return f"{collectors}, {people}"


def _to_do(cause: Cause, language: Language) -> str:
    if cause.reason == "SecretUnavailable":
        return language.gettext(
            "Put the password where the manifest says, readable by the service. It is looked for "
            "again by itself."
        )
    if cause.kind == "manifest" and not cause.people:
        return language.gettext(_NEVER_VALID)
    return language.gettext(_TO_DO[cause.kind])


def _rest(cause: Cause) -> str:
    """Return the address of a list that has the collectors of the cause."""
    return address_of(
        {"reason": cause.reason, "host": cause.host, "destination": cause.destination}
    )


def _button(cause: Cause, language: Language, wants: str) -> CauseButton:
    texts = language.gettext
    if cause.reason == "InvalidManifest":
        return CauseButton(texts("Show the errors"), "/manifests")
    path = f"/collectors/{cause.names[0]}"
    if wants == "consent":
        return CauseButton(texts("Connect"), path, role=Role.EDIT.value)
    if wants == "password" or (cause.kind == "login" and cause.collectors == 1):
        text = texts("Enter the password")
        return CauseButton(text, f"{path}/edit", role=Role.EDIT.value)
    return _retry(cause, path, language) or (
        CauseButton(texts("Show them"), _rest(cause))
        if cause.collectors > 1
        else CauseButton(texts("Show it"), path)
    )


def _retry(cause: Cause, path: str, language: Language) -> CauseButton | None:
    """Return the button that tries again at once, where that may help."""
    role, texts = Role.OPERATE.value, language.gettext
    match cause.kind:
        case "parked" if cause.collectors == len(cause.names):
            text = texts("Try these messages again")
            return CauseButton(text, "/actions", True, cause.names, role)
        case "host" | "destination" | "failure":
            return CauseButton(texts("Try now"), f"{path}/collect", True, (), role)
    return None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _counted(language: Language, one: str, many: str, count: int) -> str:
    return language.ngettext(one, many, count) % {"count": language.number(count)}
