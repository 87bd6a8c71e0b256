"""LMTP against a scripted server: what each reply means, and what goes over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.destinations.lmtp import lmtp_destination, lmtp_endpoint
from reconciler.destinations.transfer import transfer_dialogue
from reconciler.destinations.transfer.mail_system import BROKEN, MailSystem
from reconciler.model.collector_id import collector_id
from reconciler.model.errors import ConnectionFailed, DestinationUnavailable
from reconciler.model.outcomes import Deferred, Delivered, Refused
from reconciler.model.spec import LmtpSpec
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from tests.destinations.letters import LETTER, deliver, delivery, top
from tests.servers.lmtp import DROP, EXTENSIONS, Sink
from tests.servers.scripted import Client, Scripted

UTF8 = (*EXTENSIONS, "SMTPUTF8")
TWO = ["a@x.test", "b@x.test"]


@contextmanager
def system(sink: Sink, limits: Limits | None = None) -> Iterator[MailSystem]:
    endpoint = Endpoint("127.0.0.1", sink.port, "none")
    opened = lmtp_destination(endpoint, limits) if limits else lmtp_destination(endpoint)
    try:
        yield opened
    finally:
        opened.finish()


def test_a_message_goes_out_with_its_id_and_the_receiver_id_comes_back() -> None:
    with Sink() as sink, system(sink) as lmtp:
        assert deliver(lmtp, LETTER, ["a@x.test"]) == [
            Delivered("a@x.test", "2.0.0 ok, taken as 4711")
        ]
    sink.until("QUIT")
    (message,) = sink.messages
    assert message == top() + LETTER.replace(b"\n", b"\r\n")
    assert sink.commands[0].startswith("LHLO ")
    assert sink.commands[1:] == [
        f"MAIL FROM:<> SIZE={len(message)}",
        "RCPT TO:<a@x.test>",
        "DATA",
        "QUIT",
    ]


def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    with Sink(path=path):
        lmtp = lmtp_destination(lmtp_endpoint(LmtpSpec(socket=str(path))))
        assert isinstance(deliver(lmtp, LETTER, TWO)[1], Delivered)
        lmtp.finish()


def test_the_id_is_the_same_after_a_crash_and_another_for_another_message() -> None:
    assert collector_id(delivery("1")) == collector_id(delivery("1"))
    assert (
        len(
            {
                collector_id(each)
                for each in (delivery("1"), delivery("2"), delivery("1", "support"))
            }
        )
        == 3
    )


def test_commands_go_together_where_pipelining_is_offered() -> None:
    def hold(command: str) -> bytes | None:
        if command.startswith("MAIL") or command == "RCPT TO:<a@x.test>":
            return b""
        return b"250 ok\r\n" * 3 if command == "RCPT TO:<b@x.test>" else None

    with Sink(answer=hold, final=lambda _: [b"250 ok\r\n"] * 2) as sink, system(sink) as lmtp:
        assert all(isinstance(outcome, Delivered) for outcome in deliver(lmtp, LETTER, TWO))


def test_without_pipelining_each_command_waits_for_its_reply() -> None:
    with Sink(extensions=["8BITMIME"]) as sink, system(sink) as lmtp:
        assert all(isinstance(outcome, Delivered) for outcome in deliver(lmtp, LETTER, TWO))
        assert "MAIL FROM:<>" in sink.commands


def test_D8_and_D10_replies_250_and_452_after_the_message() -> None:
    with (
        Sink(final=lambda _: [b"250 2.0.0 saved\r\n", b"452 4.2.2 full\r\n"]) as sink,
        system(sink) as lmtp,
    ):
        first, second = deliver(lmtp, LETTER, TWO)
        assert first == Delivered("a@x.test", "2.0.0 saved")
        assert isinstance(second, Deferred)
        assert second.reason.startswith("452 4.2.2 full. The mailbox is full")
        sink.final = lambda recipients: [b"250 2.0.0 saved\r\n"] * len(recipients)
        assert deliver(lmtp, LETTER, ["b@x.test"]) == [Delivered("b@x.test", "2.0.0 saved")]
        assert sink.messages[0] == sink.messages[1]
        assert len(sink.conversations) == 1


def test_D8_a_recipient_that_is_put_off_does_not_stop_the_others() -> None:
    with (
        Sink(answer=lambda command: b"451 4.3.0 later\r\n" if "a@" in command else None) as sink,
        system(sink) as lmtp,
    ):
        assert deliver(lmtp, LETTER, TWO) == [
            Deferred("a@x.test", "451 4.3.0 later"),
            Delivered("b@x.test", "2.0.0 ok, taken as 4711"),
        ]


@pytest.mark.parametrize(
    ("reply", "unknown"),
    [
        ("550 5.1.1 no such user", True),
        ("550 no such user", True),
        ("551 5.1.6 moved", True),
        ("553 5.1.3 bad", True),
        ("550 5.1.10 null mx", True),
        ("550 5.1.8 bad sender domain", False),
        ("550 5.7.1 no", False),
        ("551 not here", False),
        ("553 no", False),
        ("554 5.1.1 no", False),
        ("501 5.5.4 Unsupported option", False),
        ("552 5.2.2 full", False),
    ],
)
def test_D9_refusals_and_which_of_them_mean_no_such_mailbox(reply: str, unknown: bool) -> None:
    with (
        Sink(answer=lambda command: f"{reply}\r\n".encode() if "RCPT" in command else None) as sink,
        system(sink) as lmtp,
    ):
        (outcome,) = deliver(lmtp, LETTER, ["a@x.test"])
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith(reply)
        assert outcome.unknown is unknown
        assert lmtp.exists("a@x.test") is (False if unknown else None)
        assert sink.messages == []


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", [b"421 4.3.2 shutting down\r\n", DROP, b"garbage\r\n"])
@pytest.mark.parametrize("extensions", [EXTENSIONS, ["8BITMIME"]])
def test_D8_a_message_that_ends_the_connection_is_put_off_and_others_go(
    verb: str, answer: bytes, extensions: list[str]
) -> None:
    """Until it happens to several in a row: then it is everybody's."""

    def script(command: str) -> bytes | None:
        sender = next(
            one
            for one in reversed(["MAIL", *sink.conversations[-1].commands])
            if one.startswith("MAIL")
        )
        return answer if command.startswith(verb) and (always or "bad@" in sender) else None

    always = False
    bad = b"Return-Path: <bad@x.test>\n" + LETTER
    with Sink(answer=script, extensions=extensions) as sink, system(sink) as lmtp:
        found = [
            deliver(lmtp, content, TWO, str(number))
            for number, content in enumerate([LETTER, bad, LETTER, bad, bad, LETTER])
        ]
        assert [type(each[0]) for each in found] == [
            Delivered,
            Deferred,
            Delivered,
            Deferred,
            Deferred,
            Delivered,
        ]
        assert not any(
            isinstance(each, Deferred) and each.unsure for outcomes in found for each in outcomes
        )
        always = True
        assert [type(deliver(lmtp, LETTER, ["a@x.test"])[0]) for _ in range(2)] == [Deferred] * 2
        with pytest.raises(DestinationUnavailable) as raised:
            deliver(lmtp, LETTER, ["a@x.test"])
        assert raised.value.at_message


def test_D8_existence_that_ends_the_connection_is_left_open() -> None:
    with (
        Sink(answer=lambda command: DROP if "bad@" in command else None) as sink,
        system(sink) as lmtp,
    ):
        assert [lmtp.exists(f"{name}@x.test") for name in ("a", "bad", "b")] == [True, None, True]


def test_D8_421_after_the_message_keeps_what_was_said_before() -> None:
    with (
        Sink(
            final=lambda _: [b"250 2.0.0 saved\r\n", b"421 4.3.2 shutting down\r\n", DROP]
        ) as sink,
        system(sink) as lmtp,
    ):
        first, second = deliver(lmtp, LETTER, TWO)
        assert first == Delivered("a@x.test", "2.0.0 saved")
        assert isinstance(second, Deferred)
        assert second.reason.startswith("421 4.3.2 shutting down")
        sink.final = lambda recipients: [b"250 ok\r\n"] * len(recipients)
        assert deliver(lmtp, LETTER, ["b@x.test"]) == [Delivered("b@x.test", "ok")]
        assert len(sink.conversations) == 2


def test_D8_after_421_nothing_more_is_said_over_that_connection() -> None:
    """Also where the server leaves it open."""
    with Sink(final=lambda _: [b"421 4.3.2 shutting down\r\n"]) as sink, system(sink) as lmtp:
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Deferred)
        sink.final = lambda _: [b"250 ok\r\n"]
        assert deliver(lmtp, LETTER, ["b@x.test"]) == [Delivered("b@x.test", "ok")]
        assert len(sink.conversations) == 2


def test_a_transaction_that_cannot_be_left_ends_the_connection() -> None:
    """What the server still holds of it would go with the next one."""
    with (
        Sink(answer=lambda command: b"500 what?\r\n" if command == "RSET" else None) as sink,
        system(sink) as lmtp,
    ):
        assert lmtp.exists("a@x.test") is True
        assert isinstance(deliver(lmtp, LETTER, ["b@x.test"])[0], Delivered)
        assert len(sink.conversations) == 2


def test_a_refused_sender_leaves_the_connection_in_step() -> None:
    """Where commands go together, each recipient is answered as well."""
    refusals = [b"550 5.7.1 not you\r\n"]

    def answer(command: str) -> bytes | None:
        return refusals.pop() if refusals and command.startswith("MAIL") else None

    with Sink(answer=answer) as sink, system(sink) as lmtp:
        assert deliver(lmtp, LETTER, TWO) == [Refused(each, "550 5.7.1 not you") for each in TWO]
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)
        assert len(sink.conversations) == 1


def test_D11_a_drop_between_the_dot_and_the_reply_is_tried_again_under_the_same_id() -> None:
    with Sink(final=lambda _: [DROP]) as sink, system(sink) as lmtp:
        outcomes = deliver(lmtp, LETTER, TWO)
        assert [type(outcome) for outcome in outcomes] == [Deferred, Deferred]
        sink.final = lambda recipients: [b"250 ok\r\n"] * len(recipients)
        deliver(lmtp, LETTER, TWO)
        first, second = (message.partition(b"\r\n")[0] for message in sink.messages)
        assert first == second == top().rstrip()


def test_D11_a_drop_after_one_of_two_replies_keeps_that_one() -> None:
    with Sink(final=lambda _: [b"250 2.0.0 saved\r\n", DROP]) as sink, system(sink) as lmtp:
        first, second = deliver(lmtp, LETTER, TWO)
        assert isinstance(first, Delivered)
        assert isinstance(second, Deferred)


def test_D11_silence_after_the_dot_is_put_off_and_its_late_reply_answers_nothing_else() -> None:
    with Sink(final=lambda _: []) as sink, system(sink, Limits(silence=1)) as lmtp:
        (outcome,) = deliver(lmtp, LETTER, ["a@x.test"])
        assert isinstance(outcome, Deferred)
        sink.final = lambda recipients: [b"250 ok\r\n"]
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)
        assert len(sink.conversations) == 2


def test_D12_an_absent_socket_is_said_with_its_path(tmp_path: Path) -> None:
    lmtp = lmtp_destination(Endpoint.local(str(tmp_path / "absent")))
    with pytest.raises(DestinationUnavailable, match="absent: No such file"):
        deliver(lmtp, LETTER, TWO)
    with pytest.raises(DestinationUnavailable):
        lmtp.exists("a@x.test")


def test_D12_without_8bitmime_a_message_that_needs_it_is_kept_and_others_go() -> None:
    with Sink(extensions=["PIPELINING"]) as sink, system(sink) as lmtp:
        (outcome,) = deliver(lmtp, "Subject: привет\n\n".encode(), ["a@x.test"])
        assert isinstance(outcome, Refused)
        assert not outcome.unknown
        assert outcome.reason.startswith("8bitmime-missing")
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)


def test_D12_a_message_over_the_offered_size_is_kept() -> None:
    with Sink(extensions=["SIZE 500"]) as sink, system(sink) as lmtp:
        (outcome,) = deliver(lmtp, LETTER + b"x" * 500, ["a@x.test"])
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith("too-large")
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)


def test_D9_a_sender_that_is_refused_concerns_every_recipient() -> None:
    with (
        Sink(
            answer=lambda command: b"550 5.7.1 not you\r\n" if "MAIL" in command else None
        ) as sink,
        system(sink) as lmtp,
    ):
        assert deliver(lmtp, LETTER, TWO) == [Refused(each, "550 5.7.1 not you") for each in TWO]


def test_a_server_that_greets_with_nonsense_is_greeted_anew() -> None:
    with Sink(greeting=b"hello\r\n") as sink, system(sink) as lmtp:
        with pytest.raises(DestinationUnavailable):
            deliver(lmtp, LETTER, ["a@x.test"])
        sink.greeting = b"220 ready\r\n"
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)
        assert sink.conversations[-1].commands[0].startswith("LHLO")


@pytest.mark.parametrize("answer", [b"452 4.3.1 no space\r\n", b"250 what\r\n"])
def test_D8_data_that_is_not_let_in_is_put_off(answer: bytes) -> None:
    with (
        Sink(answer=lambda command: answer if command == "DATA" else None) as sink,
        system(sink) as lmtp,
    ):
        assert [type(outcome) for outcome in deliver(lmtp, LETTER, TWO)] == [Deferred, Deferred]
        assert sink.messages == []


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n",
        b"250-" + b"x" * 100_000 + b"\r\n",
        b"250-a\r\n" * 1000,
        b"999 x\r\n",
        b"\xff\xfe\r\n",
    ],
)
def test_a_server_that_talks_nonsense_is_not_believed(answer: bytes) -> None:
    with (
        Sink(answer=lambda command: answer if "MAIL" in command else None) as sink,
        system(sink) as lmtp,
    ):
        assert [type(each) for each in deliver(lmtp, LETTER, TWO)] == [Deferred, Deferred]


def test_replies_of_several_lines_and_odd_octets_are_shown_printable() -> None:
    with (
        Sink(final=lambda _: [b"250-2.0.0 first\r\n250 2.0.0 se\x1bcond\r\n"]) as sink,
        system(sink) as lmtp,
    ):
        assert deliver(lmtp, LETTER, ["a@x.test"]) == [
            Delivered("a@x.test", "2.0.0 first 2.0.0 se?cond")
        ]


def test_a_connection_that_the_server_closed_while_idle_is_made_anew() -> None:
    with Sink() as sink, system(sink) as lmtp:
        sink.final = lambda recipients: [b"250 ok\r\n421 4.4.2 idle too long\r\n", DROP]
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)
        sink.final = lambda recipients: [b"250 ok\r\n"]
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"], "2")[0], Delivered)
        assert len(sink.conversations) == 2


def test_one_connection_serves_a_session() -> None:
    with Sink() as sink, system(sink) as lmtp:
        assert lmtp.exists("a@x.test")
        for key in "123":
            deliver(lmtp, LETTER, ["a@x.test"], key)
        assert len(sink.conversations) == 1


def test_existence_is_asked_once_and_leaves_no_transaction_behind() -> None:
    def answer(command: str) -> bytes | None:
        return {
            "RCPT TO:<b@x.test>": b"550 5.1.1 no\r\n",
            "RCPT TO:<c@x.test>": b"451 4.0.0 hm\r\n",
        }.get(command)

    with Sink(answer=answer) as sink, system(sink) as lmtp:
        assert [lmtp.exists(f"{name}@x.test") for name in "abcabc"] == [True, False, None] * 2
        assert sink.commands.count("RSET") == 3
        assert sink.commands.count("RCPT TO:<a@x.test>") == 1


def test_M8_addresses_of_every_script_with_smtputf8() -> None:
    with Sink(extensions=UTF8) as sink, system(sink) as lmtp:
        assert lmtp.deliverable("раз@икс.рф")
        assert lmtp.exists("раз@икс.рф")
        deliver(lmtp, LETTER, ["раз@икс.рф"])
        assert "RCPT TO:<раз@икс.рф>" in sink.commands
        assert sum(" SMTPUTF8" in command for command in sink.commands) == 2


def test_M8_without_smtputf8_ascii_local_parts_go_with_a_labels_and_others_stay() -> None:
    with Sink() as sink, system(sink) as lmtp:
        assert lmtp.deliverable("raz@икс.рф")
        assert not lmtp.deliverable("раз@икс.рф")
        assert lmtp.exists("раз@икс.рф") is None
        first, second = deliver(lmtp, LETTER, ["raz@икс.рф", "раз@икс.рф"])
        assert isinstance(first, Delivered)
        assert isinstance(second, Refused)
        assert second.reason.startswith("smtputf8-missing")
        assert "RCPT TO:<raz@xn--h1aev.xn--p1ai>" in sink.commands


@pytest.mark.parametrize(
    ("header", "sender"),
    [
        (b"Return-Path: <a@b.example>\n", "a@b.example"),
        (b"", ""),
        (b"Return-Path: <>\n", ""),
        (b"Return-Path: <a@b.example>\nReturn-Path: <c@d.example>\n", "a@b.example"),
        (b"Return-Path: <a b@c>\n", ""),
        (b"Return-Path: a@b, c@d\n", ""),
        (b"Return-Path: <a@b> SIZE=1\n", "a@b"),
        (b'Return-Path: <"a b"@c>\n', '"a b"@c'),
        ("Return-Path: <a@почта.рф>\n".encode(), "a@xn--80a1acny.xn--p1ai"),
        ("Return-Path: <а@почта.рф>\n".encode(), ""),
    ],
)
def test_the_sender_is_the_topmost_return_path_or_nobody(header: bytes, sender: str) -> None:
    with Sink() as sink, system(sink) as lmtp:
        deliver(lmtp, header + LETTER, ["a@x.test"])
        assert sink.commands[1].startswith(f"MAIL FROM:<{sender}> SIZE=")


@pytest.mark.parametrize(
    ("body", "wire"),
    [
        (b"a\n.\nb", b"a\r\n..\r\nb\r\n"),
        (b"a\r.\rb", b"a\r\n..\r\nb\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r.\r\nMAIL FROM:<evil>", b"a\r\n..\r\nMAIL FROM:<evil>\r\n"),
        (b"a\n.\r\nb\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r\r\nb", b"a\r\n\r\nb\r\n"),
        (b"a\0\xffb\r", b"a\0\xffb\r\n"),
        (b"", b""),
        (b".", b"..\r\n"),
    ],
)
def test_M2_L5_nothing_is_smuggled_whatever_the_line_ends_and_however_it_is_cut(
    body: bytes, wire: bytes
) -> None:
    content = b"Subject: x\n\n" + body
    with Sink() as sink, system(sink) as lmtp:
        for cut in range(len(content) + 1):
            parcel = lmtp.stage(delivery(), [content[:cut], content[cut:]], ["a@x.test"])
            list(lmtp.commit([parcel]))
            lmtp.settle([parcel])
        assert set(sink.messages) == {top() + b"Subject: x\r\n\r\n" + wire}
        assert not any("evil" in command for command in sink.commands)


def test_M10_mail_that_bears_our_own_key_or_went_round_and_round_is_parked() -> None:
    foreign = f"X-Collector-Id: {collector_id(delivery('1', 'another'))}\n".encode()
    with Sink() as sink, system(sink) as lmtp:
        for head in (top("other") + LETTER, b"Received: by x\n" * 101 + LETTER):
            (outcome,) = deliver(lmtp, head, ["a@x.test"])
            assert isinstance(outcome, Refused)
            assert outcome.reason.startswith("mail loop")
        for head in (foreign + LETTER, b"Received: by x\n" * 100 + LETTER):
            assert isinstance(deliver(lmtp, head, ["a@x.test"])[0], Delivered)


def test_a_mailbox_files_first_line_stays_first() -> None:
    with Sink() as sink, system(sink) as lmtp:
        deliver(lmtp, b"From a@b Sun Nov 22 22:40:00 2026\n" + LETTER, ["a@x.test"])
        assert sink.messages[0].startswith(
            b"From a@b Sun Nov 22 22:40:00 2026\r\n" + top() + b"From: a@b.example"
        )


def test_big_messages_and_many_recipients() -> None:
    many = [f"user{number}@x.test" for number in range(250)]
    body = b"Subject: big\n\n" + b"\n" * (1 << 20)
    with Sink(extensions=["PIPELINING", "8BITMIME"]) as sink, system(sink) as lmtp:
        assert all(isinstance(outcome, Delivered) for outcome in deliver(lmtp, body, many))
        assert [len(message) for message in sink.messages] == [len(top()) + 16 + (2 << 20)] * 3


def test_as_many_recipients_go_together_as_every_server_takes() -> None:
    """RFC 5321, section 4.5.3.1.8: a hundred."""
    recipients = [f"r{number}@x.test" for number in range(101)]
    with Sink() as sink, system(sink) as lmtp:
        assert {type(each) for each in deliver(lmtp, LETTER, recipients)} == {Delivered}
        verbs = [command.partition(" ")[0] for command in sink.commands]
        second = verbs.index("MAIL", verbs.index("MAIL") + 1)
        assert (verbs[:second].count("RCPT"), verbs[second:].count("RCPT")) == (100, 1)


def test_nothing_remains_of_a_message_that_breaks_off() -> None:
    def content() -> Iterator[bytes]:
        yield b"x" * (2 << 20)
        raise ConnectionFailed("it broke")

    with Sink() as sink, system(sink) as lmtp:
        with pytest.raises(ConnectionFailed):
            lmtp.stage(delivery(), content(), ["a@x.test"])
        assert sink.conversations == []


def test_a_message_may_be_committed_again_until_it_is_settled() -> None:
    with Sink() as sink, system(sink) as lmtp:
        parcel = lmtp.stage(delivery(), [LETTER], ["a@x.test"])
        list(lmtp.commit([parcel]))
        ((_, outcomes),) = lmtp.commit([parcel])
        assert outcomes == (Delivered("a@x.test", "2.0.0 ok, taken as 4711"),)
        lmtp.settle([parcel])
        assert sink.messages[0] == sink.messages[1]


def test_after_an_abort_nothing_is_opened_any_more() -> None:
    with Sink() as sink, system(sink) as lmtp:
        deliver(lmtp, LETTER, ["a@x.test"])
        lmtp.abort()
        with pytest.raises(DestinationUnavailable, match="aborted"):
            deliver(lmtp, LETTER, ["a@x.test"])
        assert len(sink.conversations) == 1


def test_a_message_with_which_an_abort_came_is_not_put_off() -> None:
    """It is the session's end, not the message's fault. The first connection is lost as well: what
    is lost over one that was used before is said once more over a new one."""
    asked = []
    with Sink() as sink, system(sink) as lmtp:

        def answer(command: str) -> bytes | None:
            if not command.startswith("MAIL"):
                return None
            asked.append(command)
            if len(asked) == 2:
                lmtp.abort()
            return DROP

        sink.answer = answer
        with pytest.raises(DestinationUnavailable):
            deliver(lmtp, LETTER, ["a@x.test"])
        assert len(asked) == 2


# What replies mean


@pytest.mark.parametrize(
    ("reply", "kind", "wait", "told"),
    [
        (
            (
                "450 4.2.0 <a@x.test>: Recipient address rejected: Greylisted, try again in 300 "
                "seconds"
            ),
            Deferred,
            300,
            "greylisting",
        ),
        ("550 Greylisted, please try again in 5 minutes", Deferred, 300, "greylisting"),
        (
            "451 Ваш сервер в серых списках, серый список: повторите через 10 минут",
            Deferred,
            600,
            "greylisting",
        ),
        ("550 5.7.0 Rate limit exceeded, try again later", Deferred, None, "less mail at a time"),
        ("554 5.7.1 too many connections from your IP", Deferred, None, "too many connections"),
        ("550 4.7.1 contradiction", Deferred, None, ""),
        ("450 5.1.1 contradiction", Deferred, None, ""),
        ("552 5.2.2 Over quota", Refused, None, "mailbox is full"),
        ("550 mailbox full", Refused, None, "mailbox is full"),
        ("554 Nachricht ist zu groß", Refused, None, "no message so large"),
        ("552 5.3.4 no", Refused, None, "so large"),
        ("550 5.7.1 Spam message rejected", Refused, None, "for spam"),
        ("550 5.7.23 SPF", Refused, None, "rules refuse"),
        ("554 5.7.1 <a@x.test>: Relay access denied", Refused, None, "responsible for"),
        ("550 relay not permitted, authentication required", Refused, None, "responsible for"),
        (
            "554 5.7.1 Service unavailable; Sender address [b@y] blocked using dbl.example",
            Refused,
            None,
            "sender",
        ),
        (
            "550-Callback setup failed while verifying b@y\r\n550 refuses bounces",
            Refused,
            None,
            "sender",
        ),
        ("553 5.7.1 <b@y>: Sender address rejected: not logged in", Refused, None, "sender"),
        (
            "550-Requested action not taken: mailbox unavailable\r\n550 Failure. Try again later",
            Deferred,
            None,
            "again",
        ),
        ('451 4.7.1 Ratelimit "to" exceeded', Deferred, None, "less mail at a time"),
        ("550 5.4.6 routing loop", Refused, None, "too many servers"),
        ("550 5.6.0 no", Refused, None, "what is in"),
        ("554 no", Refused, None, ""),
        ("550-5.7.1 no\r\n250 ok", Deferred, None, ""),
        ("250-ok\r\n550 5.7.1 no", Deferred, None, ""),
    ],
)
def test_a_reply_is_understood_by_its_codes_and_then_by_its_words(
    reply: str, kind: type, wait: float | None, told: str
) -> None:
    answers = [
        lambda command: f"{reply}\r\n".encode() if command.startswith("RCPT") else None,
        lambda _: None,
    ]
    for answer in answers:
        final = None if answer is answers[0] else lambda _: [f"{reply}\r\n".encode()]
        with Sink(answer=answer, final=final) as sink, system(sink) as lmtp:
            (outcome,) = deliver(lmtp, LETTER, ["a@x.test"])
            assert not isinstance(outcome, Delivered)
            assert type(outcome) is kind
            assert told in outcome.reason
            assert getattr(outcome, "wait", None) == wait
            assert not getattr(outcome, "unknown", False)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    "reply",
    [
        "530 5.7.0 Must issue a STARTTLS command first",
        "530 5.7.1 Authentication required",
        "538 5.7.11 Encryption needed",
        "554 5.7.1 Client host [192.0.2.1] blocked",
    ],
)
def test_what_is_no_message_s_fault_concerns_everybody(verb: str, reply: str) -> None:
    with (
        Sink(
            answer=lambda command: f"{reply}\r\n".encode() if command.startswith(verb) else None
        ) as sink,
        system(sink) as lmtp,
        pytest.raises(DestinationUnavailable, match=reply[:9]) as raised,
    ):
        deliver(lmtp, LETTER, TWO)
    assert raised.value.advice
    assert raised.value.at_message


def test_words_in_an_encoding_of_their_own_are_understood() -> None:
    reply = "552 Почтовый ящик переполнен\r\n".encode("cp1251")
    with (
        Sink(answer=lambda command: reply if command.startswith("RCPT") else None) as sink,
        system(sink) as lmtp,
    ):
        (outcome,) = deliver(lmtp, LETTER, ["a@x.test"])
        assert isinstance(outcome, Refused)
        assert outcome.reason.startswith("552 Почтовый ящик переполнен. The mailbox is full")


def test_a_greeting_that_names_a_time_and_a_verb_that_is_not_known() -> None:
    with (
        Sink(greeting=b"421 4.7.0 busy, try again in 10 minutes\r\n") as sink,
        system(sink) as lmtp,
        pytest.raises(DestinationUnavailable) as raised,
    ):
        deliver(lmtp, LETTER, TWO)
    assert raised.value.retry_after == 600
    with (
        Sink(answer=lambda _: b"500 5.5.1 what?\r\n") as sink,
        system(sink) as lmtp,
        pytest.raises(DestinationUnavailable, match="write `smtp` instead of `lmtp`"),
    ):
        deliver(lmtp, LETTER, TWO)


# A connection that takes no more, and receivers that differ


@pytest.mark.parametrize(
    "refusal",
    [
        b"452 4.5.3 Too many messages sent\r\n",
        b"503 5.5.1 bad sequence\r\n",
        b"450 4.7.1 slow down\r\n",
        b"421 4.7.0 enough\r\n",
    ],
)
@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("extensions", [EXTENSIONS, ["8BITMIME"]])
def test_F22_a_used_connection_that_takes_no_more_is_replaced(
    refusal: bytes, most: int, extensions: list[str]
) -> None:
    def answer(command: str) -> bytes | None:
        if not command.startswith("MAIL"):
            return None
        taken = sum(one.startswith("MAIL") for one in sink.conversations[-1].commands)
        return refusal if taken > most else None

    with Sink(extensions=extensions, answer=answer) as sink, system(sink) as lmtp:
        for number in range(5):
            assert isinstance(deliver(lmtp, LETTER, ["a@x.test"], str(number))[0], Delivered)
        assert len(sink.messages) == 5
        assert len(sink.conversations) == -(-5 // most)


@pytest.mark.parametrize("verb", ["RCPT", "DATA"])
def test_F22_503_is_about_the_connection_and_parks_nothing(verb: str) -> None:
    def answer(command: str) -> bytes | None:
        return b"503 5.5.1 not now\r\n" if command.startswith(verb) and refusing else None

    refusing = True
    with Sink(answer=answer) as sink, system(sink) as lmtp:
        assert deliver(lmtp, LETTER, ["a@x.test"]) == [Deferred("a@x.test", "503 5.5.1 not now")]
        refusing = False
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)


def test_F22_a_probe_over_a_used_connection_is_asked_again_over_a_new_one() -> None:
    def answer(command: str) -> bytes | None:
        used = sum(one.startswith("MAIL") for one in sink.conversations[-1].commands) > 1
        return b"503 5.5.1 nested MAIL\r\n" if command.startswith("MAIL") and used else None

    with Sink(answer=answer) as sink, system(sink) as lmtp:
        assert [lmtp.exists(f"{name}@x.test") for name in "abc"] == [True] * 3
        assert len(sink.conversations) == 3


def test_452_at_a_recipient_sends_the_others_in_another_transaction() -> None:
    """RFC 5321, section 4.5.3.1.10."""

    def answer(command: str) -> bytes | None:
        if not command.startswith("RCPT"):
            return None
        commands = sink.conversations[-1].commands
        begun = max(number for number, one in enumerate(commands) if one.startswith("MAIL"))
        return b"452 4.5.3 Too many recipients\r\n" if len(commands) - begun > 3 else None

    names = [f"u{number}@x.test" for number in range(5)]
    with Sink(extensions=["8BITMIME"], answer=answer) as sink, system(sink) as lmtp:
        assert all(isinstance(one, Delivered) for one in deliver(lmtp, LETTER, names))
        assert len(sink.messages) == 3
    with (
        Sink(
            answer=lambda command: b"452 4.3.1 full\r\n" if command.startswith("RCPT") else None
        ) as sink,
        system(sink) as lmtp,
    ):
        assert all(isinstance(one, Deferred) for one in deliver(lmtp, LETTER, names))
        assert sum(one.startswith("MAIL") for one in sink.commands) == 1


@pytest.mark.parametrize(
    ("reply", "unknown"),
    [
        ("524 5.2.4 Mailing list expansion problem", True),
        ("550 5.2.4 no", True),
        ("550 5.7.1 not you", False),
        ("550 5.2.1 disabled", False),
        ("552 5.2.2 full", False),
        ("503 5.1.1 what", False),
        ("550 5.1.10 null MX", True),
        ("550 No such user here, please check the address and try again", True),
        ("550 mailbox unavailable", True),
        ("550 mailbox is full", False),
        ("550-no such user\r\n550 here", True),
        ("450 4.1.1 later", False),
    ],
)
def test_F26_which_refusals_mean_nobody_there(reply: str, unknown: bool) -> None:
    with (
        Sink(
            answer=lambda command: f"{reply}\r\n".encode() if command.startswith("RCPT") else None
        ) as sink,
        system(sink) as lmtp,
    ):
        assert lmtp.exists("a@x.test") is (False if unknown else None)


@pytest.mark.parametrize("size", ["9" * 5000, "٣", "0", "", "-1", "12 34", "1e3", "9" * 19])
def test_D2_a_size_that_is_no_number_limits_nothing(size: str) -> None:
    with Sink(extensions=["8BITMIME", f"SIZE {size}"]) as sink, system(sink) as lmtp:
        assert isinstance(deliver(lmtp, LETTER, ["a@x.test"])[0], Delivered)


def test_M8_a_server_with_smtputf8_that_knows_domains_as_a_labels_alone() -> None:
    """Dovecot 2.4."""

    def answer(command: str) -> bytes | None:
        foreign = command.startswith("RCPT") and not command.partition("@")[2].isascii()
        return b"501 5.5.4 Invalid TO: Invalid domain\r\n" if foreign else None

    with Sink(extensions=UTF8, answer=answer) as sink, system(sink) as lmtp:
        assert lmtp.exists("ann@икс.рф") is True
        found = deliver(lmtp, LETTER, ["раз@икс.рф", "b@x.test"])
        assert all(isinstance(one, Delivered) for one in found)
        assert "RCPT TO:<раз@xn--h1aev.xn--p1ai>" in sink.commands


def test_M6_no_answer_to_the_message_is_told_as_not_sure() -> None:
    with Sink(final=lambda _: [DROP]) as sink, system(sink) as lmtp:
        (outcome,) = deliver(lmtp, LETTER, ["a@x.test"])
        assert isinstance(outcome, Deferred)
        assert outcome.unsure
    with Sink(final=lambda _: [b"451 4.3.0 later\r\n"]) as sink, system(sink) as lmtp:
        assert deliver(lmtp, LETTER, ["a@x.test"]) == [Deferred("a@x.test", "451 4.3.0 later")]


def test_one_answer_with_a_line_for_each_recipient_is_nobodys_but_the_firsts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Perl's Net::Server::Mail answers so, and nothing comes after it."""
    monkeypatch.setattr(transfer_dialogue, "_ONE_MORE", 0.05)
    with (
        Sink(final=lambda _: [b"250-ok a\r\n250 ok b\r\n"]) as sink,
        system(sink, Limits(silence=5.0)) as lmtp,
    ):
        first, second = deliver(lmtp, LETTER, TWO)
    assert isinstance(first, Delivered)
    assert isinstance(second, Deferred)
    assert "one answer for 2 recipients" in second.reason


def test_an_answer_of_two_lines_may_be_the_first_recipients_alone() -> None:
    with (
        Sink(final=lambda _: [b"250-ok\r\n250 a\r\n", b"550 no\r\n"]) as sink,
        system(sink) as lmtp,
    ):
        assert [type(each) for each in deliver(lmtp, LETTER, TWO)] == [Delivered, Refused]


@pytest.mark.parametrize(
    ("refusal", "hint"), [("500 5.5.1 what?", True), ("502 nonsense", True), ("550 not you", False)]
)
def test_only_who_does_not_know_the_greeting_may_speak_something_else(
    refusal: str, hint: bool
) -> None:
    answer = f"{refusal}\r\n".encode()
    with (
        Sink(answer=lambda command: answer if command.startswith("LHLO") else None) as sink,
        system(sink) as lmtp,
        pytest.raises(DestinationUnavailable, match="refuses LHLO") as caught,
    ):
        deliver(lmtp, LETTER, TWO)
    assert ("write `smtp` instead of `lmtp`" in str(caught.value)) == hint
    words = refusal.rpartition(" ")[2]
    assert (words in str(caught.value)) != hint  # not the words of something else


def test_W4_E9_the_words_of_what_is_no_mail_system_are_not_repeated() -> None:
    def script(client: Client) -> None:
        client.send(b"500 inner words\r\n")
        client.wait()

    with Scripted(script) as server:
        opened = lmtp_destination(Endpoint(server.host, server.port, "none"))
        with pytest.raises(DestinationUnavailable, match="refuses connections with 500") as caught:
            deliver(opened, LETTER, TWO)
    assert "inner words" not in str(caught.value)


def test_where_an_lmtp_server_listens() -> None:
    given = lmtp_endpoint(LmtpSpec(host="mx.test", port=2424))
    assert (given.host, given.port, given.tls) == ("mx.test", 2424, "none")
    assert "/run/lmtp" in str(lmtp_endpoint(LmtpSpec(socket="/run/lmtp")))


def test_D8_connections_that_end_are_counted_from_the_first_one_on() -> None:
    with (
        Sink(answer=lambda command: DROP if command == "DATA" else None) as sink,
        system(sink) as lmtp,
    ):
        for number in range(1, BROKEN):
            [outcome] = deliver(lmtp, LETTER, ["a@x.test"], str(number))
            assert isinstance(outcome, Deferred)
        with pytest.raises(DestinationUnavailable):
            deliver(lmtp, LETTER, ["a@x.test"], "9")
