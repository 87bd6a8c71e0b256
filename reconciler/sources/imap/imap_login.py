"""Log in to an IMAP server: greeting, STARTTLS (RFC 3501, section 6.2.1), SASL or LOGIN."""

from __future__ import annotations

import imaplib
import re
from functools import partial

from reconciler.model.errors import ConnectionFailed, NoGreeting, SourceUnsuitable, TlsRefused
from reconciler.model.secret import Secret
from reconciler.sources.imap.client_identification import ClientIdentity
from reconciler.sources.imap.fetch_responses import TaggedCompletion
from reconciler.sources.imap.imap_dialogue import ImapClient, ImapDialogue
from reconciler.sources.imap.imap_refusals import ImapRefusals
from reconciler.sources.imap.imap_strings import quoted
from reconciler.wire import sasl
from reconciler.wire.account_memory import AccountMemory
from reconciler.wire.connection import Connection
from reconciler.wire.login_attempts import LoginMethod, LoginRefusal, try_methods
from reconciler.wire.sasl import Credentials, Exchange

_UNKNOWN = re.compile(
    "mechanism|not supported|unsupported|unrecogni[sz]ed|unknown command", re.IGNORECASE
)
"""Texts of a NO that means BAD."""


def log_in(
    connection: Connection,
    failures: ImapRefusals,
    credentials: Credentials,
    memory: AccountMemory,
    identity: ClientIdentity,
) -> ImapClient:
    """Connect, log in, and identify this client (ID).

    Credentials are sent only over the kind of connection that the manifest asks for (hazards T1,
    T2, T12). `memory` decides which login method comes first, and takes what is learnt.
    """
    credentials.check()
    connection.open()
    client = _greet(connection, failures)
    with failures.translated("login"):
        if connection.endpoint.tls == "starttls":
            _start_tls(client)
        if client.dialogue.state == "NONAUTH":
            _authenticate(client, failures, credentials, memory)
        _ask_capabilities_again(client)
        if "ID" in client.dialogue.capabilities:
            client.dialogue.post("ID", identity.arguments())
    return client


def _greet(connection: Connection, failures: ImapRefusals) -> ImapClient:
    try:
        return ImapClient(connection)
    except imaplib.IMAP4.error as error:
        raise failures.greeting(error) from None
    except ConnectionFailed as error:
        if connection.ended and not connection.received:
            raise NoGreeting(f"{error} without a greeting") from None
        raise


def _start_tls(client: ImapClient) -> None:
    connection = client.dialogue.connection
    if client.dialogue.state != "NONAUTH":
        raise TlsRefused(
            f"{connection.endpoint}: the server logged us in (PREAUTH) before TLS, as in an "
            "attack; nothing was sent"
        )
    if "STARTTLS" not in client.dialogue.capabilities:
        raise TlsRefused(
            f"{connection.endpoint}: the server does not offer STARTTLS; the password was not "
            "sent. Use tls: implicit, if it has an IMAPS port."
        )
    if not client.dialogue.run("STARTTLS").ok:
        raise TlsRefused(
            f"{connection.endpoint}: the server refuses STARTTLS; the password was not sent"
        )
    connection.start_tls()
    client.dialogue.untagged_responses.clear()  # came before TLS, perhaps injected (L4, T4)
    client.dialogue.refresh_capabilities()


def _authenticate(
    client: ImapClient, failures: ImapRefusals, credentials: Credentials, memory: AccountMemory
) -> None:
    connection = client.dialogue.connection
    if connection.endpoint.tls != "none" and not connection.secure:
        raise TlsRefused(
            f"{connection.endpoint}: the connection is not encrypted; the password was not sent"
        )
    login = ImapLogin(client, failures, credentials, memory)
    methods = login.methods()
    if not methods and credentials.token:
        raise SourceUnsuitable(
            f"{connection.endpoint}: the server takes neither OAUTHBEARER nor XOAUTH2; log in with "
            "source.password instead"
        )
    if not methods:
        raise TlsRefused(
            f"{connection.endpoint}: the server does not let anybody log in this way "
            "(LOGINDISABLED); the password was not sent. Set source.tls to starttls or implicit."
        )
    client.dialogue.untagged("CAPABILITY")
    try_methods(methods, memory, credentials, (imaplib.IMAP4.abort,))
    client.dialogue.state = "AUTH"


class ImapLogin:
    """The login methods of one server."""

    def __init__(
        self,
        client: ImapClient,
        failures: ImapRefusals,
        credentials: Credentials,
        memory: AccountMemory,
    ) -> None:
        self._dialogue = client.dialogue
        self._failures = failures
        self._credentials = credentials
        self._memory = memory

    def methods(self) -> list[LoginMethod]:
        """Return the usable methods, strongest first.

        The command LOGIN comes last, if the server does not forbid it (RFC 3501, section 6.2.3) and
        the password may be sent in the clear.
        """
        offered, secure = self._dialogue.capabilities, self._dialogue.connection.secure
        names = {word.removeprefix("AUTH=") for word in offered if word.startswith("AUTH=")}
        found = [
            LoginMethod(name, partial(self._by_mechanism, name))
            for name in sasl.mechanisms(self._credentials, names, secure=secure)
            if self._allowed(name)
        ]
        if not self._credentials.token and (secure or not sasl.hides_password(names)):
            found += (
                [LoginMethod("the command LOGIN", self._by_command)]
                if self._allowed("LOGIN", command=True)
                else []
            )
        return found

    def _allowed(self, name: str, *, command: bool = False) -> bool:
        """Return whether LOGINDISABLED permits this mechanism or command.

        It always forbids the command LOGIN. Without TLS it also forbids mechanisms that show the
        password. A server may begin to announce it between two attempts.
        """
        disabled = "LOGINDISABLED" in self._dialogue.capabilities
        shown = name in (sasl.Plain.name, sasl.LoginMechanism.name)
        return not disabled or (not command and (self._dialogue.connection.secure or not shown))

    def _by_mechanism(self, name: str) -> LoginRefusal | None:
        self._learn()
        if not self._allowed(name):
            return self._forbidden()
        try:
            with_it = self._memory.initial_response and "SASL-IR" in self._dialogue.capabilities
            exchange, answers, completed = self._exchange(name, initial=with_it)
            if (
                completed.status == "BAD"
                and with_it
                and not self._failures.known("login refused", completed.text)
            ):
                self._memory.initial_response = False
                exchange, answers, completed = self._exchange(name, initial=False)
        except SourceUnsuitable as error:
            return LoginRefusal(error, understood=False)
        if answers.confused and not self._credentials.token:
            return LoginRefusal(
                SourceUnsuitable(f"{self._dialogue.connection.endpoint}: {answers.confused}"),
                understood=False,
            )
        if completed.ok:
            exchange.settle()
            return None
        return self._refused(completed)

    def _exchange(
        self, name: str, *, initial: bool
    ) -> tuple[Exchange, sasl.ChallengeAnswers, TaggedCompletion]:
        """Run AUTHENTICATE, with an `initial` response (RFC 4959) or without."""
        exchange = sasl.begin(name, self._credentials)
        first = exchange.initial() if initial else None
        arguments = [name.encode(), *([first] if first is not None else [])]
        answers = sasl.ChallengeAnswers(exchange)
        return exchange, answers, self._dialogue.converse("AUTHENTICATE", arguments, answers.give)

    def _by_command(self) -> LoginRefusal | None:
        self._learn()
        if not self._allowed("LOGIN", command=True):
            return self._forbidden()
        completed = _login(self._dialogue, self._credentials.username, self._credentials.secret)
        return None if completed.ok else self._refused(completed)

    def _refused(self, completed: TaggedCompletion) -> LoginRefusal:
        """Return the refusal; BAD answers a command that is not understood, not a password."""
        unknown = completed.status == "BAD" or (
            self._credentials.token and _UNKNOWN.search(completed.text) is not None
        )
        return LoginRefusal(self._failures.login(completed), understood=not unknown)

    def _learn(self) -> None:
        """Take over capabilities that the server has sent unasked."""
        if "CAPABILITY" in self._dialogue.untagged_responses:
            self._dialogue.learn_capabilities()

    def _forbidden(self) -> LoginRefusal:
        return LoginRefusal(
            SourceUnsuitable(
                f"{self._dialogue.connection.endpoint}: the server came to forbid this way of "
                "logging in (LOGINDISABLED)"
            ),
            understood=False,
        )


def _login(dialogue: ImapDialogue, username: str, password: Secret) -> TaggedCompletion:
    """Run LOGIN, with literals for what a quoted string must not hold (RFC 3501, section 9)."""
    name, word = username.encode(), password.reveal().encode()
    if name.isascii() and word.isascii():
        return dialogue.run("LOGIN", quoted(name), quoted(word))
    answers = iter([name + b" {%d}" % len(word), word])
    return dialogue.converse("LOGIN", [b"{%d}" % len(name)], lambda _: next(answers, None))


def _ask_capabilities_again(client: ImapClient) -> None:
    """Learn the capabilities after the login (hazard I29); many servers send them unasked."""
    if not client.dialogue.learn_capabilities():
        client.dialogue.refresh_capabilities()
