"""Whatever a message says: routing never raises, and nobody gets mail who may not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.collect.routing import route
from reconciler.mail.addresses import Address, a_label, comparison_form, parse
from reconciler.model.spec import RecipientSpec

NAMES = [
    "X-Envelope-To",
    "Delivered-To",
    "Received",
    "Resent-To",
    "To",
    "Cc",
    "Bcc",
    "Subject",
    "x-rcpt-to",
    "",
    " ",
    "To ",
]
WORDS = [
    "раз",
    "РАЗ",
    "два",
    "четыре",
    "пример",
    "@",
    "почта.рф",
    "xn--80a1acny.xn--p1ai",
    "far.example",
    "<",
    ">",
    ",",
    ";",
    ":",
    '"',
    "(",
    ")",
    "\\",
    " ",
    "\n ",
    "\r\n\t",
    "\n",
    "\r",
    "\0",
    ".",
    "by",
    "for ",
    "\udcff",
    "=?utf-8?q?=40?=",
    "раз@почта.рф",
    "<два@почта.рф>",
    "a@far.example",
    "\u202e",
    "@почта.рф.far.example",
]
values = st.lists(st.sampled_from(WORDS), max_size=12).map("".join)
lines = st.tuples(st.sampled_from(NAMES), values).map(lambda each: f"{each[0]}: {each[1]}\n")
heads = st.lists(lines, max_size=8).map(
    lambda each: "".join(each).encode("utf-8", "surrogateescape")
) | st.binary(max_size=200)
details = st.fixed_dictionaries(
    {"from": st.just(["Почта.рф"]), "to": st.just("икс.рф")},
    optional={
        "mailboxes": st.just(["раз", "два"]),
        "aliases": st.just({"пример": "два", "четыре": "три"}),
        "default": st.just("info@икс.рф"),
        "stripPrefix": st.just("р"),
        "header": st.sampled_from(["To", "Received", "delivered-to"]),
    },
)
answers = st.sampled_from([True, False, None])


@given(heads, details, st.sampled_from([None, "пример@почта.рф"]), answers, st.booleans())
def test_no_recipient_outside_what_the_manifest_accepts(
    head: bytes, detail: dict[str, object], account: str | None, answer: bool | None, utf8: bool
) -> None:
    asked: list[str] = []

    def exists(address: str) -> bool | None:
        asked.append(address)
        return answer

    routing = route(
        head,
        RecipientSpec.model_validate({"detect": detail}),
        account,
        exists,
        lambda address: utf8 or address.isascii(),
    )
    text = head.decode("utf-8", "surrogateescape")
    for recipient in routing.recipients:
        local, _, domain = recipient.address.rpartition("@")
        assert domain == "икс.рф"
        assert (recipient.tier == "default") == (local == "info" and recipient.rule == "default")
        if recipient.rule != "default":
            assert "почта.рф" in text or "xn--80a1acny.xn--p1ai" in text
        if "mailboxes" in detail and recipient.rule != "default":
            assert local in {"раз", "два", "три"}
    assert routing.parked or routing.recipients
    assert not ("default" in detail and utf8 and routing.parked)
    assert len({comparison_form(each.address) for each in routing.recipients}) == len(
        routing.recipients
    )
    assert not asked or "mailboxes" not in detail
    for address in asked:
        assert not set("<>\r\n\0") & set(address)
    for considered in routing.considered:
        if considered.verdict in ("recipient", "repeated", "unknown-mailbox", "smtputf8-missing"):
            found = parse(considered.address)
            assert isinstance(found, Address)
            assert a_label(found.domain) == a_label("почта.рф")


@given(heads)
def test_forward_to_takes_everything(head: bytes) -> None:
    routing = route(head, RecipientSpec.model_validate({"forwardTo": "a@b"}), None, lambda _: False)
    assert [each.address for each in routing.recipients] == ["a@b"]
