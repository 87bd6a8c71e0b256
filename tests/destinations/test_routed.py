"""Routing and a mail system together, as a session uses them: who exists, what can be carried, who
gets it."""

from __future__ import annotations

from pathlib import Path

from reconciler.collect.routing import route
from reconciler.destinations.lmtp import lmtp_destination
from reconciler.destinations.smtp import smtp_destination
from reconciler.destinations.transfer.mail_system import MailSystem
from reconciler.destinations.transfer.outgoing_spool import OutgoingMessage
from reconciler.model.interfaces import MailDestination
from reconciler.model.outcomes import Delivered
from reconciler.model.routing_answer import Routing
from reconciler.model.spec import RecipientSpec
from reconciler.wire.endpoint import Endpoint
from tests.destinations.letters import deliver
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix

CORPUS = Path(__file__).parents[1] / "routing" / "corpus"
ACCOUNT = "пример@почта.рф"
SEED = (CORPUS / "M8-u-label.eml").read_bytes()
FOURTH = "Delivered-To: пример@почта.рф\nTo: четыре@почта.рф\n\nbody\n".encode()


def detect(**fields: object) -> RecipientSpec:
    return RecipientSpec.model_validate(
        {"detect": {"from": ["почта.рф"], "to": "икс.рф", **fields}}
    )


def handed_over(system: MailSystem, content: bytes, recipient: RecipientSpec) -> Routing:
    routing = route(content, recipient, ACCOUNT, system.exists, system.deliverable)
    outcomes = deliver(system, content, [each.address for each in routing.recipients])
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    return routing


def test_M8_the_seeds_example_through_postfix(postfix: Postfix) -> None:
    system = smtp_destination(Endpoint(postfix.host, postfix.port, "none"))
    assert [
        each.address for each in handed_over(system, SEED, detect(default="info@икс.рф")).recipients
    ] == ["раз@икс.рф", "два@икс.рф", "три@икс.рф"]
    routing = handed_over(system, FOURTH, detect(default="info@икс.рф"))
    assert (routing.recipients[0].address, routing.reason) == ("info@икс.рф", "unknown-mailbox")
    assert route(FOURTH, detect(), ACCOUNT, system.exists, system.deliverable).parked
    system.finish()
    for name in ("раз", "два", "три", "info"):
        assert len(postfix.messages(f"{name}@икс.рф", 1)) == 1


def test_M8_the_seeds_example_through_dovecot_which_takes_ascii_only(dovecot: Dovecot) -> None:
    system = lmtp_destination(Endpoint("127.0.0.1", dovecot.ports["lmtp"], "none"))
    aliases = {"раз": "raz", "два": "dva", "три": "tri"}
    routing = handed_over(system, SEED, detect(aliases=aliases))
    assert [each.address for each in routing.recipients] == [
        "raz@икс.рф",
        "dva@икс.рф",
        "tri@икс.рф",
    ]
    fourth = handed_over(system, FOURTH, detect(aliases=aliases, default="info@икс.рф"))
    assert (fourth.recipients[0].address, fourth.reason) == ("info@икс.рф", "smtputf8-missing")
    parked = route(FOURTH, detect(aliases=aliases), ACCOUNT, system.exists, system.deliverable)
    assert (parked.recipients, parked.parked, parked.reason) == ((), True, "smtputf8-missing")
    system.finish()
    for name in ("raz", "dva", "tri", "info"):
        assert dovecot.messages(f"{name}@xn--h1aev.xn--p1ai")


def test_a_mail_system_is_a_destination() -> None:
    system: MailDestination[OutgoingMessage] = lmtp_destination(Endpoint.local("/nowhere"))
    assert system.batch_size == 1
