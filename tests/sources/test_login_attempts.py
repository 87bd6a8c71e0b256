"""Ways of logging in, tried in turn as one attempt, by IMAP and POP3."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    SourceError,
    SourceUnsuitable,
    TlsRefused,
)
from reconciler.model.interfaces import Source
from reconciler.model.secret import Secret
from reconciler.model.spec import SourceSpec
from reconciler.sources.imap import open_imap
from reconciler.sources.imap.client_identification import ClientIdentity
from reconciler.sources.pop3 import open_pop3
from reconciler.wire.account_memory import AccountMemories
from reconciler.wire.connection_limits import Limits
from tests.servers.scripted import Authority, Client, Scripted
from tests.sources.imap_server import GREETING, PASSWORD, Reply, imap, tagged
from tests.sources.pop3_scripts import multiline, replies, speak

NO, BAD, OK = b"TAG NO no\r\n", b"TAG BAD what?\r\n", b"TAG OK hello\r\n"
CERTAIN = b"TAG NO [AUTHENTICATIONFAILED] wrong\r\n"
EVERYTHING = "AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256"


def offering(words: str) -> Reply:
    return b"* CAPABILITY IMAP4rev1 " + words.encode() + b"\r\n" + OK


class Account:
    """One account at a scripted server, and what is remembered of it."""

    def __init__(
        self, server: Scripted, protocol: str, *, token: bool = False, **declared: str
    ) -> None:
        spec = {
            "protocol": protocol,
            "host": server.host,
            "port": server.port,
            "username": "user",
            **declared,
        }
        secret = (
            {
                "oauth2": {
                    "provider": "google",
                    "clientId": "c",
                    "clientSecret": {"env": "X"},
                    "refreshToken": {"env": "X"},
                }
            }
            if token
            else {"password": {"env": "X"}}
        )
        self._spec = SourceSpec.model_validate(spec | secret)
        self._server = server
        self._accounts = AccountMemories()

    def log_in(
        self, password: str = PASSWORD, identity: ClientIdentity | None = None
    ) -> list[bytes]:
        """The commands of a login, their tags apart."""
        before = len(self._server.lines)
        source: Source = (
            open_imap(self._spec, Secret(password), Limits(), self._accounts, identity)
            if self._spec.protocol == "imap"
            else open_pop3(self._spec, Secret(password), Limits(), self._accounts)
        )
        try:
            list(source.listings(writable=False))
        finally:
            source.finish()
            source.abort()
        return self._ways(self._server.lines[before:])

    def refused(self, kind: type[SourceError] = AuthenticationFailed) -> list[bytes]:
        before = len(self._server.lines)
        with pytest.raises(kind) as failure:
            self.log_in()
        assert type(failure.value) is kind, failure.value
        self.error = failure.value
        return self._ways(self._server.lines[before:])

    def _ways(self, lines: list[bytes]) -> list[bytes]:
        commands = (
            [line.partition(b" ")[2] for line in lines] if self._spec.protocol == "imap" else lines
        )
        return [
            b" ".join(words[:2]) if words[0].startswith(b"AUTH") else words[0]
            for command in commands
            if (words := command.split())
            and words[0] in {b"AUTHENTICATE", b"AUTH", b"LOGIN", b"PASS", b"ID"}
        ]


# IMAP


@pytest.mark.parametrize(
    ("words", "replies", "ways"),
    [
        ("AUTH=PLAIN", {"AUTHENTICATE PLAIN": NO}, [b"AUTHENTICATE PLAIN", b"LOGIN"]),
        ("AUTH=PLAIN SASL-IR", {"AUTHENTICATE PLAIN": CERTAIN}, [b"AUTHENTICATE PLAIN", b"LOGIN"]),
        ("AUTH=PLAIN", {"AUTHENTICATE PLAIN": BAD}, [b"AUTHENTICATE PLAIN", b"LOGIN"]),
        (
            "AUTH=PLAIN AUTH=LOGIN",
            {"AUTHENTICATE PLAIN": NO, "AUTHENTICATE LOGIN": BAD},
            [b"AUTHENTICATE PLAIN", b"AUTHENTICATE LOGIN", b"LOGIN"],
        ),
        (
            "AUTH=PLAIN AUTH=LOGIN",
            {"AUTHENTICATE PLAIN": CERTAIN},
            [b"AUTHENTICATE PLAIN", b"LOGIN"],
        ),
        ("AUTH=GSSAPI AUTH=NTLM", {}, [b"LOGIN"]),
    ],
)
def test_another_way_with_the_same_password_works(
    words: str, replies: dict[str, Reply], ways: list[bytes]
) -> None:
    with Scripted(imap({"CAPABILITY": offering(words)} | replies)) as server:
        account = Account(server, "imap", tls="none")
        assert account.log_in() == ways
        assert account.log_in() == ways[-1:], "what worked is remembered"


def plain_but(initial: bytes) -> Callable[[Client, bytes], None]:
    """Takes PLAIN without an initial response, and answers `initial` where there is one."""

    def authenticate(client: Client, line: bytes) -> None:
        if len(line.split()) > 3:
            client.send(tagged(line, initial))
            return
        client.send(b"+\r\n")
        right = base64.b64decode(client.line()) == f"\0user\0{PASSWORD}".encode()
        client.send(tagged(line, OK if right else NO))

    return authenticate


@pytest.mark.parametrize(
    "answer", [BAD, b"TAG BAD Request not ending with \\r\\n\r\n", b"TAG bad\r\n"]
)
def test_an_initial_response_that_is_offered_and_not_understood_is_left_out(answer: bytes) -> None:
    script = imap(
        {"CAPABILITY": offering("AUTH=PLAIN SASL-IR"), "AUTHENTICATE PLAIN": plain_but(answer)}
    )
    with Scripted(script) as server:
        account = Account(server, "imap", tls="none")
        assert account.log_in() == [b"AUTHENTICATE PLAIN", b"AUTHENTICATE PLAIN"]
        assert account.log_in() == [b"AUTHENTICATE PLAIN"]
        assert not any(b"LOGIN" in line for line in server.lines)


def test_a_server_that_asks_again_for_the_initial_response_gets_it() -> None:
    def authenticate(client: Client, line: bytes) -> None:
        client.send(b"+\r\n")
        client.send(tagged(line, OK if client.line() == line.split()[-1] else NO))

    with Scripted(
        imap({"CAPABILITY": offering("AUTH=PLAIN SASL-IR"), "AUTHENTICATE": authenticate})
    ) as server:
        assert Account(server, "imap", tls="none").log_in() == [b"AUTHENTICATE PLAIN"]


def test_a_wrong_password_costs_little_and_counts_once() -> None:
    script = imap(
        {"CAPABILITY": offering("AUTH=PLAIN AUTH=LOGIN"), "AUTHENTICATE": CERTAIN, "LOGIN": CERTAIN}
    )
    with Scripted(script) as server:
        account = Account(server, "imap", tls="none")
        assert account.refused() == [b"AUTHENTICATE PLAIN", b"LOGIN"]
        assert isinstance(account.error, AuthenticationFailed)
        assert account.error.certain
        assert len(account.refused()) == 1, "the same password again: one way is enough"


def test_a_new_password_is_tried_in_every_way_again() -> None:
    logins: list[Reply] = [NO, OK]
    with Scripted(
        imap({"CAPABILITY": offering("AUTH=PLAIN"), "AUTHENTICATE": NO, "LOGIN": logins})
    ) as server:
        account = Account(server, "imap", tls="none")
        account.refused()
        assert account.log_in("another") == [b"AUTHENTICATE PLAIN", b"LOGIN"]


def test_what_worked_and_is_refused_now_is_one_refusal() -> None:
    plain: list[Reply] = [OK, NO]
    with Scripted(
        imap({"CAPABILITY": offering("AUTH=PLAIN SASL-IR"), "AUTHENTICATE": plain, "LOGIN": NO})
    ) as server:
        account = Account(server, "imap", tls="none")
        assert account.log_in() == [b"AUTHENTICATE PLAIN"]
        assert account.refused() == [b"AUTHENTICATE PLAIN"]


@pytest.mark.parametrize(
    "answer", [b"TAG NO [UNAVAILABLE] later\r\n", b"TAG NO [LIMIT] too many\r\n"]
)
def test_what_is_no_refusal_of_the_password_is_not_tried_otherwise(answer: bytes) -> None:
    with Scripted(imap({"CAPABILITY": offering("AUTH=PLAIN"), "AUTHENTICATE": answer})) as server:
        account = Account(server, "imap", tls="none")
        with pytest.raises(SourceError) as failure:
            account.log_in()
        assert not isinstance(failure.value, AuthenticationFailed)
        assert not any(b"LOGIN" in line for line in server.lines)


def test_a_server_that_hangs_up_after_a_refusal_is_asked_in_the_other_way_next_time() -> None:
    def authenticate(client: Client, line: bytes) -> None:
        client.send(tagged(line, NO))
        client.close()

    script = imap({"CAPABILITY": offering("AUTH=PLAIN SASL-IR"), "AUTHENTICATE": authenticate})
    with Scripted(script) as server:
        account = Account(server, "imap", tls="none")
        assert account.refused()[:1] == [b"AUTHENTICATE PLAIN"]
        assert account.log_in() == [b"LOGIN"]


def close(client: Client, line: bytes) -> None:
    client.close()


def not_in_base64(client: Client, line: bytes) -> None:
    client.send(b"+\r\n")
    client.line()
    client.send(b"+ !!!\r\n")
    cancelled = client.line() == b"*"
    client.send(tagged(line, BAD if cancelled else OK))


def asks_for_more(client: Client, line: bytes) -> None:
    for _ in range(5):
        client.send(b"+ bW9yZT8=\r\n")
        if client.line() == b"*":
            client.send(tagged(line, BAD))
            return


@pytest.mark.parametrize(
    ("answer", "words", "first"),
    [
        (close, "AUTH=PLAIN SASL-IR", [b"AUTHENTICATE PLAIN", b"LOGIN"]),
        (close, "AUTH=SCRAM-SHA-256", [b"AUTHENTICATE SCRAM-SHA-256", b"LOGIN"]),
        (not_in_base64, "AUTH=SCRAM-SHA-1", [b"AUTHENTICATE SCRAM-SHA-1", b"LOGIN"]),
        (asks_for_more, "AUTH=PLAIN", [b"AUTHENTICATE PLAIN", b"LOGIN"]),
        (asks_for_more, "AUTH=LOGIN", [b"AUTHENTICATE LOGIN", b"LOGIN"]),
        (asks_for_more, "AUTH=CRAM-MD5", [b"AUTHENTICATE CRAM-MD5", b"LOGIN"]),
    ],
)
def test_a_mechanism_that_a_server_does_not_stand_is_left_for_another(
    answer: Reply, words: str, first: list[bytes], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    script = imap({"CAPABILITY": offering(words), "AUTHENTICATE": answer})
    with Scripted(script, tls=authority.server()) as server:
        account = Account(server, "imap", tls="implicit", caFile=authority.ca_file)
        assert account.log_in() == first
        assert account.log_in() == [b"LOGIN"]


def test_a_server_that_closes_at_every_login_is_tried_once_more_only_once() -> None:
    script = imap({"CAPABILITY": offering("AUTH=PLAIN"), "AUTHENTICATE": close, "LOGIN": close})
    with Scripted(script) as server:
        account = Account(server, "imap", tls="none")
        ways = [account.refused(ConnectionFailed) for _ in range(4)]
        assert ways[0] == [b"AUTHENTICATE PLAIN", b"LOGIN"]
        assert [len(each) for each in ways[1:]] == [1, 1, 1]


@pytest.mark.parametrize(
    "challenges",
    [
        [b"eyJzdGF0dXMiOiI0MDAifQ=="],
        [b'{"status":"400"}'],
        [b"eyJ9", b"eyJ9"],
        [b""],
    ],
)
def test_a_token_that_is_refused_in_any_form_is_refused(challenges: list[bytes]) -> None:
    def refuse(client: Client, line: bytes) -> None:
        for challenge in challenges:
            client.send(b"+ " + challenge + b"\r\n")
            client.line()
        client.send(tagged(line, NO))

    for word in ("XOAUTH2", "OAUTHBEARER"):
        with Scripted(
            imap({"CAPABILITY": offering(f"AUTH={word} SASL-IR"), "AUTHENTICATE": refuse})
        ) as server:
            account = Account(server, "imap", token=True, tls="none")
            assert account.refused() == [b"AUTHENTICATE " + word.encode()]


@pytest.mark.parametrize(
    "words", ["AUTH=PLAIN LOGINDISABLED", "AUTH=LOGIN LOGINDISABLED", "LOGINDISABLED"]
)
def test_T12_logindisabled_in_the_clear_sends_nothing(words: str) -> None:
    with Scripted(imap({"CAPABILITY": offering(words)})) as server:
        assert Account(server, "imap", tls="none").refused(TlsRefused) == []


@pytest.mark.parametrize(
    "told",
    [
        b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n",
        b"* OK [CAPABILITY LOGINDISABLED] x] y\r\n",
    ],
)
def test_T12_logindisabled_that_comes_with_a_refusal_is_obeyed(told: bytes) -> None:
    script = imap({"CAPABILITY": offering("AUTH=PLAIN SASL-IR"), "AUTHENTICATE": told + NO})
    with Scripted(script) as server:
        assert Account(server, "imap", tls="none").refused() == [b"AUTHENTICATE PLAIN"]


def test_T12_without_tls_a_refused_proof_is_not_followed_by_the_password() -> None:
    for words, reply in ((EVERYTHING, NO), (EVERYTHING, BAD), ("AUTH=CRAM-MD5 AUTH=PLAIN", NO)):
        with Scripted(imap({"CAPABILITY": offering(words), "AUTHENTICATE": reply})) as server:
            assert len(Account(server, "imap", tls="none").refused()) == 1


def test_over_tls_the_password_follows_a_proof_that_the_server_cannot_check(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    script = imap({"CAPABILITY": offering(EVERYTHING), "AUTHENTICATE": NO})
    with Scripted(script, tls=authority.server()) as server:
        account = Account(server, "imap", tls="implicit", caFile=authority.ca_file)
        ways = account.log_in()
        assert ways == [
            b"AUTHENTICATE SCRAM-SHA-256",
            b"AUTHENTICATE PLAIN",
            b"AUTHENTICATE LOGIN",
            b"LOGIN",
        ]


def test_a_refused_token_costs_one_login() -> None:
    def refuse(client: Client, line: bytes) -> None:
        client.send(b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n")
        client.line()
        client.send(tagged(line, NO))

    words = "AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=PLAIN SASL-IR"
    for answer, ways in (
        (refuse, 1),
        (NO, 1),
        (BAD, 2),
        (b"TAG NO unsupported authentication mechanism\r\n", 2),
    ):
        with Scripted(
            imap(
                {
                    "CAPABILITY": offering(words),
                    "AUTHENTICATE OAUTHBEARER": answer,
                    "AUTHENTICATE XOAUTH2": refuse,
                }
            )
        ) as server:
            account = Account(server, "imap", token=True, tls="none")
            assert (
                account.refused()[1 if answer is BAD else 0 :]
                == [b"AUTHENTICATE OAUTHBEARER", b"AUTHENTICATE XOAUTH2"][:ways]
            )


# ID


def unsafe_until_told(client: Client) -> None:
    told = False

    def examine(client: Client, line: bytes) -> None:
        selected = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK done\r\n"
        client.send(
            tagged(
                line, selected if told else b"TAG NO EXAMINE Unsafe Login. Please contact us\r\n"
            )
        )

    def identify(client: Client, line: bytes) -> None:
        nonlocal told
        told = b'("name" "mailcollector" "version" "' in line
        client.send(tagged(line, b"* ID NIL\r\nTAG OK done\r\n"))

    imap({"CAPABILITY": offering("ID"), "EXAMINE": examine, "ID": identify}, GREETING)(client)


def test_where_it_is_asked_for_we_say_who_we_are_after_the_login_and_before_anything_else() -> None:
    with Scripted(unsafe_until_told) as server:
        assert Account(server, "imap", tls="none").log_in() == [b"LOGIN", b"ID"]
        [told] = [line for line in server.lines if b" ID (" in line]
        assert told.endswith(b'"vendor" "mailcollector")')


@pytest.mark.parametrize(
    "answer", [NO, BAD, b'* ID ("name" {3}\r\nabc)\r\nTAG OK\r\n', b"TAG OK done\n"]
)
def test_whatever_a_server_says_to_it(answer: bytes) -> None:
    with Scripted(imap({"CAPABILITY": offering("ID"), "ID": answer})) as server:
        Account(server, "imap", tls="none").log_in(identity=ClientIdentity('a"b@c.example'))
        [told] = [line for line in server.lines if b" ID (" in line]
        assert told.endswith(rb'"support-url" "mailto:a\"b@c.example" "contact" "a\"b@c.example")')


def test_who_does_not_ask_is_not_told() -> None:
    with Scripted(imap()) as server:
        assert Account(server, "imap", tls="none").log_in() == [b"LOGIN"]


# POP3


def pop3(capabilities: tuple[bytes, ...] | None, **bent: bytes) -> dict[bytes, Reply]:
    capa = b"-ERR what?\r\n" if capabilities is None else multiline(*capabilities)
    return replies(
        bent={b"CAPA": capa}
        | {name.replace("_", " ").encode(): reply for name, reply in bent.items()}
    )  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("capabilities", "bent", "ways"),
    [
        (
            (b"USER", b"UIDL", b"SASL PLAIN"),
            {"AUTH_PLAIN_": b"-ERR no\r\n"},
            [b"AUTH PLAIN", b"PASS"],
        ),
        (
            (b"USER", b"UIDL", b"SASL PLAIN"),
            {"AUTH_PLAIN_": b"-ERR unknown command\r\n"},
            [b"AUTH PLAIN", b"PASS"],
        ),
        (
            (b"USER", b"UIDL", b"SASL PLAIN LOGIN"),
            {"AUTH_PLAIN_": b"-ERR no\r\n", "AUTH_LOGIN": b"-ERR no\r\n"},
            [b"AUTH PLAIN", b"AUTH LOGIN", b"PASS"],
        ),
        (None, {}, [b"PASS"]),
    ],
)
def test_pop3_another_way_with_the_same_password_works(
    capabilities: tuple[bytes, ...] | None, bent: dict[str, bytes], ways: list[bytes]
) -> None:
    with Scripted(speak(pop3(capabilities, **bent))) as server:  # type: ignore[arg-type]
        account = Account(server, "pop3", tls="none")
        assert account.log_in() == ways
        assert account.log_in() == ways[-1:]


@pytest.mark.parametrize("capabilities", [(b"UIDL", b"TOP"), (b"SASL GSSAPI", b"UIDL"), ()])
def test_pop3_over_tls_user_is_tried_even_where_nobody_mentions_it(
    capabilities: tuple[bytes, ...], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with Scripted(speak(pop3(capabilities)), tls=authority.server()) as server:  # type: ignore[arg-type]
        assert Account(server, "pop3", tls="implicit", caFile=authority.ca_file).log_in() == [
            b"PASS"
        ]
    with Scripted(speak(pop3(capabilities))) as server:  # type: ignore[arg-type]
        assert Account(server, "pop3", tls="none").refused(SourceUnsuitable) == []


def test_pop3_T12_without_tls_a_refused_proof_is_not_followed_by_the_password() -> None:
    capabilities = (b"USER", b"UIDL", b"SASL SCRAM-SHA-1 PLAIN")
    with Scripted(speak(pop3(capabilities, AUTH_=b"-ERR no\r\n"))) as server:  # type: ignore[arg-type]
        assert Account(server, "pop3", tls="none").refused() == [b"AUTH SCRAM-SHA-1"]


def test_pop3_closing_at_the_first_try_is_a_broken_connection() -> None:
    def script(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        client.line()
        client.send(multiline(b"USER", b"SASL PLAIN"))
        client.line()

    with Scripted(script) as server:
        Account(server, "pop3", tls="none").refused(ConnectionFailed)


def test_pop3_a_mechanism_that_a_server_does_not_stand_is_left_for_another() -> None:
    def script(client: Client) -> None:
        client.send(b"+OK ready\r\n")
        table = pop3((b"USER", b"UIDL", b"SASL PLAIN"))
        line = b""
        while not line.startswith(b"QUIT"):
            line = client.line()
            if line.startswith(b"AUTH"):
                return
            reply = table[max((begin for begin in table if line.startswith(begin)), key=len)]
            assert isinstance(reply, bytes)
            client.send(reply)

    with Scripted(script) as server:
        account = Account(server, "pop3", tls="none")
        assert account.log_in() == [b"AUTH PLAIN", b"PASS"]
        assert account.log_in() == [b"PASS"]
    more = pop3((b"USER", b"UIDL", b"SASL LOGIN"), AUTH_LOGIN=b"+ bW9yZT8=\r\n")
    more |= {
        b"dXNlcg==": b"+ bW9yZT8=\r\n",
        base64.b64encode(PASSWORD.encode()): b"+ bW9yZT8=\r\n",
        b"*": b"-ERR\r\n",
    }
    with Scripted(speak(more)) as server:  # type: ignore[arg-type]
        assert Account(server, "pop3", tls="none").log_in() == [b"AUTH LOGIN", b"PASS"]
