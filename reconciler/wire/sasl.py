"""Logging in by SASL (RFC 4422): the exchanges that we know, and in which order they are tried.

| mechanism | | what goes over the wire |
|---|---|---|
| SCRAM-SHA-256, SCRAM-SHA-1 | RFC 7677, RFC 5802 | proofs on both sides: the server too has to know
the password |
| PLAIN, LOGIN | RFC 4616; no standard | the password |
| CRAM-MD5 | RFC 2195 | a proof, by a hash that has grown old |
| OAUTHBEARER, XOAUTH2 | RFC 7628; Google's, for which it was the model | an access token |
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
"""Strongest first."""
_FORBIDDEN = re.compile("[\r\n\0]")


class Confused(ProtocolViolation):
    """The server does not speak the mechanism as it is: the exchange is cancelled, another one may
    do."""


class Credentials(Struct, frozen=True):
    """`token`: the secret is an OAuth2 access token, else a password."""

    username: str
    secret: Secret
    token: bool = False

    def check(self) -> None:
        """Refuse CR, LF and NUL: they would end the command and begin another one (hazard L3)."""
        for field, value in (("username", self.username), ("password", self.secret.reveal())):
            if _FORBIDDEN.search(value):
                raise SourceUnsuitable(
                    f"The {field} contains a line end or NUL, which no server can be sent. "
                    f"Correct source.{field}."
                )

    def forms(self) -> tuple[Secret, ...]:
        """The secret, and the messages that hold it: what no text of the server may quote (hazard
        S1)."""
        secret, name = self.secret.reveal(), self.username
        messages = [_oauthbearer, _xoauth2] if self.token else [_plain]
        return self.secret, *[Secret(message(name, secret)) for message in messages]


class Exchange:
    """The client's side of one exchange; responses and challenges in base64, as IMAP and POP3 send
    them."""

    name: str

    def __init__(self, credentials: Credentials) -> None:
        credentials.check()
        self._credentials = credentials
        self._began = False
        self._sent_along = False

    def initial(self) -> bytes | None:
        """What may be sent with the command (RFC 4959, RFC 5034); None where the server speaks
        first."""
        first = self._start()
        self._sent_along = first is not None
        return first

    def reply(self, challenge: bytes) -> bytes:
        """The response to a challenge. Raises ProtocolViolation for what cannot be one."""
        if not self._began and (first := self._start()) is not None:
            return first
        if self._sent_along and not challenge:  # the server asks for what came with the command
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
            raise Confused(f"login by {self.name}: the server's challenge is not base64") from None

    def settle(self) -> None:
        """The server says that we are logged in. Raises ProtocolViolation if it has not proved what
        it has to."""

    def _first(self) -> bytes | None:
        return None

    def _next(self, said: bytes) -> bytes:  # noqa: ARG002  # for those who are asked something
        raise Confused(f"login by {self.name}: the server asks for more than the login consists of")


class Plain(Exchange):
    name = "PLAIN"

    def _first(self) -> bytes:
        return plain(self._credentials.username, self._credentials.secret)


class LoginMechanism(Exchange):
    """Never a standard (draft-murchison-sasl-login); some servers have nothing else. It asks for
    the name, then for the password, in words that do not matter."""

    name = "LOGIN"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._answers = [credentials.username, credentials.secret.reveal()]

    def _next(self, said: bytes) -> bytes:
        return self._answers.pop(0).encode() if self._answers else super()._next(said)

    def _decoded(self, challenge: bytes) -> bytes:
        return challenge


class CramMd5(Exchange):
    name = "CRAM-MD5"

    def _next(self, said: bytes) -> bytes:
        if self._began:
            return super()._next(said)
        self._began = True
        digest = hmac.new(self._credentials.secret.reveal().encode(), said, hashlib.md5).hexdigest()
        return f"{self._credentials.username} {digest}".encode()


class Scram(Exchange):
    """RFC 5802, without channel binding. `nonce` is for test vectors."""

    def __init__(self, name: str, credentials: Credentials, nonce: str | None = None) -> None:
        # slow to import, and seldom needed
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

    def _next(self, said: bytes) -> bytes:
        self._steps += 1
        text = said.decode("utf-8", "replace")
        if self._steps == 2 and text.startswith("e="):
            return b""  # it refuses, and says so in its reply to the command
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
    """An access token. What the server says before it refuses is answered as it wants, and then
    comes its refusal."""

    _answer: ClassVar[bytes] = b""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._answered = False

    def _next(self, said: bytes) -> bytes:
        if self._answered:
            return super()._next(said)
        self._answered = True
        return self._answer

    def _decoded(self, challenge: bytes) -> bytes:
        return challenge  # it says why the token is refused, not always in base64


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
    """Those of the server's mechanisms that may be used, in the order in which they are to be
    tried.

    Without TLS a refused proof is not followed by the password itself (hazard T12). With TLS it is:
    of some passwords servers that offer SCRAM keep hashes that do not fit it.
    """
    if credentials.token:
        return [name for name in (OAuthBearer.name, XOAuth2.name) if name in offered]
    proof = next((name for name in PROOFS if name in offered), None)
    found = [proof] if proof else []
    if secure or not hides(offered):
        found += [name for name in (Plain.name, LoginMechanism.name) if name in offered]
    if CramMd5.name in offered and not found:
        found.append(CramMd5.name)
    return found


def hides(offered: Collection[str]) -> bool:
    """The server can do without seeing the password."""
    return any(name in offered for name in (*PROOFS, CramMd5.name))


CANCEL = b"*"
"""What ends an exchange (RFC 3501, 6.2.2; RFC 5034, section 4)."""


class ChallengeAnswers:
    """What is sent to a server's challenges: when one of them cannot be answered, that the exchange
    is over."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.confused: Confused | None = None

    def give(self, challenge: bytes) -> bytes | None:
        """None: the server goes on though it was cancelled."""
        if self.confused:
            return None
        try:
            return self._exchange.reply(challenge)
        except Confused as error:
            self.confused = error
            return CANCEL


def begin(name: str, credentials: Credentials) -> Exchange:
    """An exchange of this mechanism. Raises SourceUnsuitable where it cannot carry the
    credentials."""
    return Scram(name, credentials) if name in PROOFS else _KINDS[name](credentials)


def plain(username: str, password: Secret) -> bytes:
    """The message of SASL PLAIN (RFC 4616), in UTF-8, not yet in base64."""
    Credentials(username, password).check()
    return _plain(username, password.reveal()).encode()


def _plain(username: str, password: str) -> str:
    return f"\0{username}\0{password}"


def _oauthbearer(username: str, token: str) -> str:
    name = username.replace("=", "=3D").replace(",", "=2C")  # RFC 5801, section 4: saslname
    return f"n,a={name},\x01auth=Bearer {token}\x01\x01"


def _xoauth2(username: str, token: str) -> str:
    return f"user={username}\x01auth=Bearer {token}\x01\x01"
