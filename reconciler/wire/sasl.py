"""Log in by SASL (RFC 4422): the mechanisms, and the order in which they are tried.

| mechanism | specification | what is sent |
|---|---|---|
| SCRAM-SHA-256, SCRAM-SHA-1 | RFC 7677, RFC 5802 | a proof; the server proves itself as well |
| PLAIN, LOGIN | RFC 4616; none | the password |
| CRAM-MD5 | RFC 2195 | a proof, by a hash that is outdated |
| OAUTHBEARER, XOAUTH2 | RFC 7628; Google's, its model | an access token |
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection
from typing import ClassVar

from msgspec import Struct

from reconciler.model.errors import ProtocolViolation, SourceUnsuitable
from reconciler.model.secret import Secret

PROOFS = ("SCRAM-SHA-256", "SCRAM-SHA-1")
"""The mechanisms in which both sides prove that they know the password; strongest first."""
_FORBIDDEN = re.compile("[\r\n\0]")


class MechanismViolated(ProtocolViolation):
    """The server does not follow the mechanism.

    The exchange is cancelled; another mechanism may work.
    """


class Credentials(Struct, frozen=True):
    """A user name and a secret: a password or, with `token`, an OAuth2 access token."""

    username: str
    secret: Secret
    token: bool = False

    def check(self) -> None:
        """Refuse CR, LF and NUL, which would end the command (hazard L3).

        Raises SourceUnsuitable.
        """
        for field, value in (("username", self.username), ("password", self.secret.reveal())):
            if _FORBIDDEN.search(value):
                raise SourceUnsuitable(
                    f"The {field} contains a line end or NUL, which no server can be sent. "
                    f"Correct source.{field}."
                )

    def forms(self) -> tuple[Secret, ...]:
        """Return the secret and the messages that hold it.

        No text of the server that quotes one of them may be shown (hazard S1).
        """
        secret, name = self.secret.reveal(), self.username
        messages = [_oauthbearer, _xoauth2] if self.token else [_plain]
        return self.secret, *[Secret(message(name, secret)) for message in messages]


class Exchange:
    """The client's side of one SASL exchange.

    Responses and challenges are in base64, as IMAP and POP3 send them. A mechanism overrides
    `_first` and `_next`, which work on plain octets.
    """

    name: str

    def __init__(self, credentials: Credentials) -> None:
        credentials.check()
        self._credentials = credentials
        self._began = False
        self._sent_along = False

    def initial(self) -> bytes | None:
        """Return the response to send along with the command (RFC 4959, RFC 5034).

        None where the server speaks first.
        """
        first = self._start()
        self._sent_along = first is not None
        return first

    def reply(self, challenge: bytes) -> bytes:
        """Return the response to a challenge. Raises ProtocolViolation for an impossible one."""
        if not self._began and (first := self._start()) is not None:
            return first
        if self._sent_along and not challenge:  # the server asks again for the initial response
            self._sent_along = False
            return self._start() or b""
        return base64.b64encode(self._next(self._decoded(challenge)))

    def _start(self) -> bytes | None:
        first = self._first()
        self._began = first is not None
        return None if first is None else base64.b64encode(first)

    def _decoded(self, challenge: bytes) -> bytes:
        try:
            return base64.b64decode(challenge, validate=True)
        except binascii.Error:
            raise MechanismViolated(
                f"login by {self.name}: the server's challenge is not base64"
            ) from None

    def settle(self) -> None:
        """Check the exchange after the server has accepted the login.

        Raises ProtocolViolation where the server has not proved what the mechanism demands.
        """

    def _first(self) -> bytes | None:
        """Return the first message, where the client speaks first."""
        return None

    # mechanisms that answer challenges use `challenge`
    def _next(self, challenge: bytes) -> bytes:  # noqa: ARG002
        """Return the answer to a challenge."""
        raise MechanismViolated(
            f"login by {self.name}: the server asks for more than the login consists of"
        )


class Plain(Exchange):
    name = "PLAIN"

    def _first(self) -> bytes:
        return plain(self._credentials.username, self._credentials.secret)


class LoginMechanism(Exchange):
    """LOGIN (draft-murchison-sasl-login, never a standard); some servers offer nothing else.

    The server asks for the user name, then for the password. The words of its challenges do not
    matter.
    """

    name = "LOGIN"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._answers = [credentials.username, credentials.secret.reveal()]

    def _next(self, challenge: bytes) -> bytes:
        return self._answers.pop(0).encode() if self._answers else super()._next(challenge)

    def _decoded(self, challenge: bytes) -> bytes:
        return challenge


class CramMd5(Exchange):
    name = "CRAM-MD5"

    def _next(self, challenge: bytes) -> bytes:
        if self._began:
            return super()._next(challenge)
        self._began = True
        digest = hmac.new(
            self._credentials.secret.reveal().encode(), challenge, hashlib.md5
        ).hexdigest()
        return f"{self._credentials.username} {digest}".encode()


class Scram(Exchange):
    """SCRAM (RFC 5802) without channel binding. `nonce` is given for test vectors only."""

    def __init__(self, name: str, credentials: Credentials, nonce: str | None = None) -> None:
        # slow to import and seldom needed
        from scramp import ScramClient, ScramException  # noqa: PLC0415

        super().__init__(credentials)
        self.name = name
        self._wrong = ScramException
        self._proved = False
        self._steps = 0
        try:
            self._client = ScramClient(
                [name], credentials.username, credentials.secret.reveal(), c_nonce=nonce
            )
            self._greeting = str(self._client.get_client_first()).encode()
        except ScramException:
            raise SourceUnsuitable(
                f"The user name or the password has characters that {name} does not allow "
                "(RFC 4013). Correct source.username or the password."
            ) from None

    def settle(self) -> None:
        if not self._proved:
            raise ProtocolViolation(
                f"login by {self.name}: the server did not prove that it knows the password"
            )

    def _first(self) -> bytes:
        return self._greeting

    def _next(self, challenge: bytes) -> bytes:
        self._steps += 1
        text = challenge.decode("utf-8", "replace")
        if self._steps == 2 and text.startswith("e="):
            return b""  # refused: the reply to the command says so
        try:
            if self._steps == 1:
                self._client.set_server_first(text)
                return str(self._client.get_client_final()).encode()
            if self._steps == 2:
                self._client.set_server_final(text)
                self._proved = True
                return b""
        except self._wrong:
            raise ProtocolViolation(
                f"login by {self.name}: the server's proof or parameters are wrong, as those of "
                "somebody in its place"
            ) from None
        raise ProtocolViolation(
            f"login by {self.name}: the server asks for more than the login consists of"
        )


class Bearer(Exchange):
    """The mechanisms that send an access token.

    A server that refuses the token first sends a challenge that says why. The client must answer
    it with `_answer` before the refusal follows (RFC 7628, section 3.2.3).
    """

    _answer: ClassVar[bytes] = b""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._answered = False

    def _next(self, challenge: bytes) -> bytes:
        if self._answered:
            return super()._next(challenge)
        self._answered = True
        return self._answer

    def _decoded(self, challenge: bytes) -> bytes:
        return challenge  # says why the token is refused, not always in base64


class OAuthBearer(Bearer):
    name = "OAUTHBEARER"
    _answer = b"\x01"

    def _first(self) -> bytes:
        return _oauthbearer(self._credentials.username, self._credentials.secret.reveal()).encode()


class XOAuth2(Bearer):
    name = "XOAUTH2"

    def _first(self) -> bytes:
        return _xoauth2(self._credentials.username, self._credentials.secret.reveal()).encode()


_KINDS: dict[str, type[Exchange]] = {
    kind.name: kind for kind in (Plain, LoginMechanism, CramMd5, OAuthBearer, XOAuth2)
}


def mechanisms(credentials: Credentials, offered: Collection[str], *, secure: bool) -> list[str]:
    """Return the offered mechanisms that may be used, in the order in which to try them.

    Without TLS, a refused proof is never followed by the password itself (hazard T12). With TLS it
    is, because servers that offer SCRAM may keep a password's hash in a form unfit for it.
    """
    if credentials.token:
        return [name for name in (OAuthBearer.name, XOAuth2.name) if name in offered]
    proof = next((name for name in PROOFS if name in offered), None)
    found = [proof] if proof else []
    if secure or not hides_password(offered):
        found += [name for name in (Plain.name, LoginMechanism.name) if name in offered]
    if CramMd5.name in offered and not found:
        found.append(CramMd5.name)
    return found


def hides_password(offered: Collection[str]) -> bool:
    """Return whether a mechanism is offered that does not show the password."""
    return any(name in offered for name in (*PROOFS, CramMd5.name))


CANCEL = b"*"
"""The line that cancels an exchange (RFC 3501, section 6.2.2; RFC 5034, section 4)."""


class ChallengeAnswers:
    """Answers a server's challenges, and cancels the exchange at one that has no answer."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.confused: MechanismViolated | None = None
        """The reason why the exchange was cancelled."""

    def give(self, challenge: bytes) -> bytes | None:
        """Return the line to send; None where the server goes on with a cancelled exchange."""
        if self.confused:
            return None
        try:
            return self._exchange.reply(challenge)
        except MechanismViolated as error:
            self.confused = error
            return CANCEL


def begin(name: str, credentials: Credentials) -> Exchange:
    """Begin an exchange by the mechanism `name`.

    Raises SourceUnsuitable where the mechanism cannot carry the credentials.
    """
    return Scram(name, credentials) if name in PROOFS else _KINDS[name](credentials)


def plain(username: str, password: Secret) -> bytes:
    """Return the message of SASL PLAIN (RFC 4616) in UTF-8, not yet in base64."""
    Credentials(username, password).check()
    return _plain(username, password.reveal()).encode()


def _plain(username: str, password: str) -> str:
    return f"\0{username}\0{password}"


def _oauthbearer(username: str, token: str) -> str:
    name = username.replace("=", "=3D").replace(",", "=2C")  # RFC 5801, section 4: saslname
    return f"n,a={name},\x01auth=Bearer {token}\x01\x01"


def _xoauth2(username: str, token: str) -> str:
    return f"user={username}\x01auth=Bearer {token}\x01\x01"
