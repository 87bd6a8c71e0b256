"""Sessions over servers that number their messages anew, and accounts that become others: lost 0,
doubled 0."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from reconciler.collect import reidentification
from reconciler.model.errors import FolderFailed, SourceUnsuitable
from reconciler.model.messages import Account, DeliveryId
from reconciler.model.outcomes import (
    Deferred,
    Delivered,
    DeliveryOutcome,
    MessageState,
    Outcome,
    SessionReport,
)
from tests.collect.test_session import MODES, PROTOCOLS, STORED, TEXTS, Mode, world
from tests.collect.world import (
    Broken,
    Crash,
    Fate,
    Helm,
    Server,
    World,
    accept,
    broken,
    everything_to,
)

FieldChange = Callable[[World], None]
RECOGNISED = "messages have other numbers than when they were collected"


def renumber(here: World, first: int = 101) -> None:
    texts = here.server.messages.values()
    here.server.messages = {str(key): text for key, text in enumerate(texts, first)}


def new_validity(here: World) -> None:
    renumber(here, 1)
    here.server.validity += 1


def lower(here: World) -> None:
    """UIDs that are smaller than before, under the same UIDVALIDITY; UIDNEXT is not told."""
    renumber(here, -900)


def reused(here: World) -> None:
    """The same keys stand for other messages; only UIDNEXT tells."""
    texts = list(here.server.messages.values())
    here.server.messages = {str(key): text for key, text in enumerate(reversed(texts), 1)}
    here.server.next_key = len(texts) + 1


def other_host(here: World) -> None:
    here.server.account = replace(here.server.account, host="moved.example.org")


def other_user(here: World) -> None:
    here.server.account = replace(here.server.account, username="user@example.org", port=2)


def other_protocol(here: World) -> None:
    here.server.protocol = {"imap": "pop3", "pop3": "imap"}[here.server.protocol]
    renumber(here, 1)


EITHER: dict[str, FieldChange] = {
    "Y18-host": other_host,
    "Y18-user": other_user,
    "P15": other_protocol,
}
CHANGES = {"imap": {"I9": new_validity, "I11": lower, **EITHER}, "pop3": {"P3": renumber, **EITHER}}
CASES = [
    pytest.param(protocol, change, id=f"{protocol}-{name}")
    for protocol in PROTOCOLS
    for name, change in CHANGES[protocol].items()
]
REMOTE = ("list", "headers", "fetch", "half a message", "before delete", "before quit")


def settled(here: World, deletes: bool) -> None:
    """Sessions until nothing is left to do."""
    for _ in range(4):
        report = here.session()
        assert report.outcome is Outcome.SUCCEEDED
    assert (here.server.messages == {}) == deletes


@pytest.mark.parametrize(("protocol", "change"), CASES)
def test_I9_P3_P15_Y18_nothing_is_collected_twice(protocol: str, change: FieldChange) -> None:
    here = world(protocol=protocol)
    here.session()
    change(here)
    here.server.messages["900"] = b"Subject: newer\r\n\r\n"
    report = here.session()
    assert here.mailboxes.texts() == sorted([*STORED, b"Subject: newer\n\n"])
    assert (report.collected, report.skipped_reasons) == (1, {"collected-before": 5})
    assert any(RECOGNISED in note for note in report.notes)
    assert here.server.headers == 6
    quiet = here.session()
    assert (quiet.skipped_reasons, quiet.notes, here.server.headers) == (
        {"collected-before": 6},
        (),
        6,
    )


def test_nothing_is_asked_for_while_nothing_was_renumbered() -> None:
    here = world()
    for _ in range(2):
        fate = Fate()
        here.session(fate)
        here.server.messages["6"] = b"Subject: newer\r\n\r\n"
        assert "headers" not in fate.steps
    assert here.server.headers == 0


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize(("protocol", "change"), CASES)
@pytest.mark.parametrize("mode", MODES)
def test_D13_I9_P3_P15_Y18_a_crash_at_every_step_then_renumbered(
    mode: Mode, protocol: str, change: FieldChange, top: bool
) -> None:
    whole = Fate()
    world(mode, protocol).session(whole)
    for step in range(len(whole.steps)):
        here = world(mode, protocol)
        here.server.top = top
        with pytest.raises(Crash):
            here.session(Fate(at=step))
        change(here)
        settled(here, deletes=mode != "new-keep")
        assert here.mailboxes.texts() == STORED, whole.steps[step]


@pytest.mark.parametrize("error", [Crash, broken])
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", MODES)
def test_D13_Y18_a_crash_at_every_step_of_recognising(
    mode: Mode, protocol: str, top: bool, error: Callable[[], BaseException]
) -> None:
    """Half was collected, two of it identical; then the account moved."""
    whole = Fate()
    half_collected(mode, protocol, top=top).session(whole)
    assert "before adopt" in whole.steps
    for step, name in enumerate(whole.steps):
        if error is broken and name not in REMOTE:
            continue
        here = half_collected(mode, protocol, top=top)
        with contextlib.suppress(Crash):
            here.session(Fate(at=step, error=error))
        new_validity(here)
        other_user(here)
        settled(here, deletes=mode != "new-keep")
        assert here.mailboxes.texts() == sorted([*STORED, STORED[0]]), name


def half_collected(mode: Mode, protocol: str, *, top: bool) -> World:
    here = world("new-keep", protocol, limit=3)
    here.server.messages = {"0": TEXTS["1"], **here.server.messages}
    here.session()
    here.task = replace(here.task, mode=mode, limit=100)
    here.server.top = top
    other_host(here)
    renumber(here, 11)
    return here


def test_I11_reused_uids_are_an_alarm_and_every_message_is_recognised() -> None:
    here = world("new-keep")
    here.server.messages["9"] = b"Subject: the last\r\n\r\n"
    here.session()
    here.server.messages = {key: text for key, text in here.server.messages.items() if key != "9"}
    here.server.messages["3"] = b"Subject: never seen\r\n\r\n"
    reused(here)
    here.task = replace(here.task, mode="new-delete")
    report = here.session()
    assert any("numbered its messages anew without saying so" in note for note in report.notes)
    assert here.mailboxes.texts() == sorted(
        [*STORED, b"Subject: never seen\n\n", b"Subject: the last\n\n"]
    )
    assert here.server.messages == {}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_I11_P3_unannounced_again_and_again(protocol: str) -> None:
    here = world(protocol=protocol)
    here.session()
    for first in (-900, -1800, -2700):
        renumber(here, first)
        assert here.session().skipped_reasons == {"collected-before": 5}
    assert here.mailboxes.texts() == STORED


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("mode", ["new-delete", "all-delete"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_Y18_keys_that_coincide_delete_nothing_that_was_not_collected(
    protocol: str, mode: Mode, top: bool
) -> None:
    """Another account, the same keys, other mail; one message has the headers of a collected
    one."""
    here = world("new-keep", protocol)
    here.session()
    here.server.account = Account(here.server.account.protocol, "other.example.org", 1, "other")
    here.server.top = top
    strangers = {
        key: b"Subject: %s\r\n\r\nother body\r\n"
        % (b"1" if key == "1" else b"stranger " + key.encode())
        for key in TEXTS
    }
    here.server.messages = dict(strangers)
    here.task = replace(here.task, mode=mode)
    here.session()
    arrived = here.mailboxes.texts()
    assert here.server.messages == {}
    assert arrived == sorted(
        [*STORED, *(text.replace(b"\r\n", b"\n") for text in strangers.values())]
    )


def test_Y18_unique_headers_suffice_to_keep_but_not_to_delete() -> None:
    here = world("new-keep")
    here.server.messages = {"1": TEXTS["1"]}
    here.session()
    other_host(here)
    here.server.messages = {"7": b"Subject: 1\r\n\r\nanother body\r\n"}
    assert here.session().skipped_reasons == {"collected-before": 1}
    here.task = replace(here.task, mode="new-delete")
    report = here.session()
    assert (report.collected, report.deleted) == (1, 1)
    assert here.mailboxes.texts() == sorted([STORED[0], b"Subject: 1\n\nanother body\n"])


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_two_identical_messages_are_two_messages(mode: Mode, top: bool) -> None:
    """Two were collected; after the move there are three."""
    here = world("new-keep")
    here.server.messages = {"1": TEXTS["1"], "2": TEXTS["1"]}
    here.session()
    here.server.top = top
    other_host(here)
    here.server.messages = dict.fromkeys("789", TEXTS["1"])
    here.task = replace(here.task, mode=mode)
    settled(here, deletes=mode != "new-keep")
    assert here.mailboxes.texts() == [STORED[0]] * 3


def test_M12_the_same_message_id_with_other_bytes_is_other_mail() -> None:
    one, two = b"Message-ID: <1@x>\r\n\r\none\r\n", b"Message-ID: <1@x>\r\n\r\ntwo\r\n"
    here = world("new-keep")
    here.server.messages = {"1": one}
    here.session()
    other_host(here)
    here.server.messages = {"5": two, "6": one}
    report = here.session()
    assert (report.collected, report.skipped_reasons) == (1, {"collected-before": 1})
    assert here.mailboxes.texts() == [b"Message-ID: <1@x>\n\none\n", b"Message-ID: <1@x>\n\ntwo\n"]


def test_I9_the_limit_does_not_hold_up_new_mail() -> None:
    here = world("new-keep", limit=0)
    here.server.messages = {str(key): b"Subject: %d\r\n\r\n" % key for key in range(1, 500)}
    here.session()
    new_validity(here)
    here.server.messages["900"] = b"Subject: newer\r\n\r\n"
    here.task = replace(here.task, limit=2)
    report = here.session()
    assert (report.collected, report.skipped, report.left) == (1, 499, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_Y18_of_a_large_backlog_the_headers_are_fetched_once(protocol: str) -> None:
    here = world(protocol=protocol)
    here.session()
    other_user(here)
    backlog = {str(key): b"Subject: backlog %d\r\n\r\n" % key for key in range(10, 30)}
    here.server.messages = {**backlog, **{f"9{key}": text for key, text in TEXTS.items()}}
    here.task = replace(here.task, limit=4)
    reports: list[SessionReport] = [here.session() for _ in range(6)]
    assert [report.collected for report in reports] == [4, 4, 4, 4, 4, 0]
    assert here.server.headers == 25
    assert here.mailboxes.texts() == sorted(
        [*STORED, *(text.replace(b"\r\n", b"\n") for text in backlog.values())]
    )


def test_P15_there_and_back_again_while_collecting() -> None:
    here = world(limit=2)
    for _ in range(5):
        here.session()
        other_protocol(here)
    assert here.mailboxes.texts() == STORED


def test_Y18_verified_before_it_is_deleted_within_the_limit() -> None:
    here = world("new-keep")
    here.session()
    other_host(here)
    here.task = replace(here.task, mode="new-delete", limit=2)
    reports = [here.session() for _ in range(4)]
    assert [(report.deleted, report.skipped, report.collected) for report in reports] == [
        (2, 5, 0),
        (2, 3, 0),
        (1, 1, 0),
        (0, 0, 0),
    ]
    assert here.mailboxes.texts() == STORED


def test_what_cannot_be_compared_stays_on_the_server_and_is_not_collected() -> None:
    here = world("new-keep")
    here.session()
    other_host(here)
    here.task = replace(here.task, mode="new-delete")
    here.server.refuse = {"3"}
    for _ in range(7):
        here.session()
    assert list(here.server.messages) == ["3"]
    here.server.refuse = set()
    here.session()
    assert here.server.messages == {}
    assert here.mailboxes.texts() == STORED


@pytest.mark.parametrize("top", [True, False])
def test_D10_Y18_a_partial_delivery_goes_on_where_it_was(top: bool) -> None:
    here = world("new-delete")
    here.server.messages = {"1": TEXTS["1"]}
    here.server.top = top
    here.task = replace(here.task, route=everything_to("a@here", "b@here"))
    here.verdict = lambda recipient: (
        Deferred(recipient, "452 full") if recipient == "b@here" else Delivered(recipient, "file")
    )
    assert here.session().failed == 1
    other_host(here)
    asked: list[str] = []

    def accept(recipient: str) -> DeliveryOutcome:
        asked.append(recipient)
        return Delivered(recipient, "file")

    here.verdict = accept
    report = here.session()
    assert (report.collected, report.deleted, asked) == (1, 1, ["b@here"])
    assert here.mailboxes.texts("a@here") == here.mailboxes.texts("b@here") == [STORED[0]]


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("mode", ["new-delete", "all-delete"])
def test_P7_Y18_a_doubted_message_is_recognised_and_never_deleted(mode: Mode, top: bool) -> None:
    here = world(mode, "pop3")
    here.server.top = top
    here.server.doubt = {"2"}
    here.session()
    other_host(here)
    for _ in range(2):
        assert here.session().skipped_reasons == {"collected-before": 1}
    assert list(here.server.messages) == ["2"]
    assert here.mailboxes.texts() == STORED


def test_a_failed_header_pass_is_made_again() -> None:
    here = world()
    here.session()
    other_host(here)
    report = here.session(Fate(at=1, error=broken))
    assert (report.outcome, report.skipped_reasons) == (Outcome.SUCCEEDED, {"collected-before": 5})
    assert here.server.headers == 5


def test_a_header_pass_that_fails_half_way_leaves_no_connection_to_end_in_good_order() -> None:
    """The rest of the reply would be read as the answer to the logout."""
    here = world()
    here.session()
    other_host(here)
    report = here.session(Fate(on=("headers", 1), error=lambda: SourceUnsuitable("no headers")))
    assert (report.outcome, here.source.closed) == (Outcome.FAILED, "aborted")


def test_without_headers_contents_are_compared() -> None:
    here = world()
    here.session()
    other_host(here)
    report = here.session(Broken(only=("headers",), most=100, error=broken))
    assert (report.outcome, report.skipped_reasons) == (Outcome.SUCCEEDED, {"collected-before": 5})
    assert here.server.headers == 0


def test_presumed_is_told_apart_from_collected_in_the_ledger() -> None:
    here = world()
    here.session()
    other_host(here)
    here.session()
    states = {entry.state for entry in here.ledger.known("sales", here.server.folder).values()}
    assert states == {MessageState.PRESUMED}


@pytest.mark.parametrize(("protocol", "change"), CASES)
def test_M7_a_delivery_that_has_begun_singly_keeps_its_id(
    protocol: str, change: FieldChange
) -> None:
    """By LMTP: sent, not recorded, then renumbered. The repeat has the same id, by which the
    receiver may drop it."""
    here = world("new-delete", protocol)
    here.batch_size = 1
    ids: list[DeliveryId] = []

    def verdict(recipient: str) -> DeliveryOutcome:
        ids.append(here.destination.open[-1].message)
        return accept(recipient)

    here.verdict = verdict
    with pytest.raises(Crash):
        here.session(Fate(on=("after commit", 1)))
    (sent,) = ids
    change(here)
    for _ in range(3):
        here.session()
    assert ids.count(sent) == 2
    assert len(ids) == 6
    assert here.server.messages == {}


@pytest.mark.parametrize("kept", [1, 3])
def test_by_pop3_twins_of_one_deleted_unheard_are_two(kept: int) -> None:
    """The session dies between QUIT's answer and its record. What is left was listed beside it, and
    is another one."""
    here = world("all-delete", "pop3")
    twin = b"Subject: twin\r\n\r\nthe same\r\n"
    here.server.messages = {str(number): twin for number in range(1 + kept)}
    here.task = replace(here.task, limit=1)
    with pytest.raises(Crash):
        here.session(Fate(on=("after quit", 1)))
    assert len(here.server.messages) == kept
    for _ in range(kept + 1):
        here.session()
    assert len(here.mailboxes.texts()) == 1 + kept
    assert here.server.messages == {}


@pytest.mark.parametrize(("protocol", "change"), CASES)
def test_a_delivery_that_began_under_another_key_leaves_no_orphan(
    protocol: str, change: FieldChange
) -> None:
    """For which a twin that arrives later could be taken."""
    here = world("new-keep", protocol)
    with pytest.raises(Crash):
        here.session(Fate(on=("after commit", 1)))
    change(here)
    here.session()
    twin = next(iter(here.server.messages.values()))
    here.server.messages["990"] = twin
    change(here)
    here.session()
    here.session()
    assert here.mailboxes.texts().count(twin.replace(b"\r\n", b"\n")) == 2


@pytest.mark.parametrize("breaks", [False, True])
def test_a_single_message_with_a_new_uidl_is_recognised(breaks: bool) -> None:
    """Also where the connection broke when it was to be compared."""
    here = world(protocol="pop3")
    here.session()
    texts = here.server.messages
    here.server.messages = {("new" if key == "2" else key): texts[key] for key in texts}
    for number in range(3):
        fate = Fate(on=("half a message", 1), error=broken) if breaks and not number else None
        report = here.session(fate)
        assert report.collected == 0
    assert here.mailboxes.texts() == STORED
    assert here.ledger.known("sales", here.server.folder)["new"].state is MessageState.COLLECTED


def test_by_imap_the_same_text_under_a_new_uid_is_new_mail() -> None:
    here = world(protocol="imap")
    here.session()
    here.server.messages["900"] = here.server.messages.pop("2")
    assert here.session().collected == 1


def test_a_folder_whose_headers_cannot_be_had_is_done_without() -> None:
    here = world()
    here.session()
    new_validity(here)
    fate = Fate(on=("headers", 1), error=lambda: FolderFailed("INBOX: renumbered"))
    assert here.session(fate).collected == 0
    assert fate.steps.count("headers") == 1
    assert here.mailboxes.texts() == STORED


class _StopsAfterHeaders(Helm):
    """Told to stop once headers were asked for so many times."""

    def __init__(self, fate: Fate, times: int) -> None:
        super().__init__()
        self.fate, self.times = fate, times

    @property
    def stopping(self) -> bool:
        return self.fate.steps.count("headers") >= self.times


def _renumbered_of_ten(mode: Mode = "new-keep") -> World:
    texts = {str(uid): b"Subject: %d\r\n\r\nbody\r\n" % uid for uid in range(1, 11)}
    made = World(Server("imap", texts))
    made.session()
    made.task = replace(made.task, mode=mode)
    made.server.validity = 2
    return made


@pytest.mark.parametrize("times", range(1, 6))
def test_once_it_is_told_to_stop_no_message_is_recognised(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reidentification, "_TOGETHER", 2)
    made, fate = _renumbered_of_ten(), Fate()
    report = made.session(fate, _StopsAfterHeaders(fate, times))
    assert report.outcome is Outcome.INTERRUPTED
    assert fate.steps.count("headers") == times
    assert "before adopt" not in fate.steps
    assert made.session().skipped_reasons == {"collected-before": 10}


def test_where_headers_end_the_connection_again_and_again_they_are_done_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reidentification, "_TOGETHER", 2)
    made = _renumbered_of_ten()
    fate = Broken(only=("headers",), most=99, error=broken)
    report = made.session(fate)
    assert fate.steps.count("headers") == 6
    assert report.skipped_reasons == {"collected-before": 10}


def test_headers_of_so_many_are_fetched_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reidentification, "_TOGETHER", 2)
    monkeypatch.setattr(reidentification, "HEADERS", 4)
    made = _renumbered_of_ten()
    report = made.session()
    assert made.server.headers == 4
    assert report.skipped_reasons == {"collected-before": 10}
