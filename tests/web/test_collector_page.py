"""A collector's page without a browser: the origin of values, what is never shown, the events, and
who may do what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from reconciler.control.collector_events import ENTRIES, CollectorEvents
from reconciler.control.effective_fields import effective_lines
from reconciler.manifests.loading import parse
from reconciler.model.outcomes import Failure, Outcome, SessionReport
from reconciler.model.spec import MailCollector
from reconciler.model.status import ShownSession
from reconciler.planning.reconcile_plan import Keep, Start
from reconciler.web.access.roles import Role
from reconciler.web.page.page_translation import language
from reconciler.web.page.session_chart import session_chart
from tests.servers.dovecot import Dovecot
from tests.web.browser.stage import Stage, open_stage

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DERIVED = b"""\
apiVersion: mailcollector/v1
kind: Template
metadata: {name: shop}
spec:
  source: {protocol: imap, host: imap.example, timeout: 30s}
  collect: {interval: 15s}
---
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}
spec:
  from: shop
  title: "yes"
  source: {username: u, password: {env: P}, folders: [INBOX, "Lists/*"]}
  recipient: {forwardTo: a@b.example}
"""


def report(at: int, outcome: Outcome = Outcome.SUCCEEDED, collected: int = 0) -> SessionReport:
    error = Failure("ConnectionFailed", "refused") if outcome is Outcome.FAILED else None
    began = NOON + timedelta(minutes=at)
    return SessionReport(
        began,
        began + timedelta(seconds=2),
        outcome,
        listed=collected,
        collected=collected,
        error=error,
    )


def test_each_value_tells_where_it_comes_from() -> None:
    (loaded,) = parse(DERIVED, "m.yaml").manifests
    assert isinstance(loaded.manifest, MailCollector)
    own = {
        "from": "shop",
        "title": "yes",
        "source": {"username": "u", "password": {"env": "P"}, "folders": ["INBOX", "Lists/*"]},
        "recipient": {"forwardTo": "a@b.example"},
    }

    lines = effective_lines(own, loaded.manifest.spec, loaded.manifest.spec.declared())

    found = {line.text.strip(): line.origin for line in lines}
    assert found["host: imap.example"] == "template"
    assert found["interval: 15s"] == "template"
    assert found["username: u"] == "own"
    assert found['title: "yes"'] == "own"  # quoted: others read it as true
    assert found["env: P"] == "own"
    assert found['- "Lists/*"'] == "own"
    assert found["mode: new-keep"] == "default"
    assert found["source:"] == ""  # its values come from several places


def test_a_list_of_events_is_short_and_tells_what_repeats_once() -> None:
    events = CollectorEvents()
    events.add_step(Start("sales", "declared"), NOON)
    events.add_step(Keep("sales", "unchanged"), NOON)
    for at in range(3):
        events.add_session("sales", report(at, Outcome.FAILED))
    events.add_session("sales", report(4, collected=2))
    events.add_session("sales", report(5, collected=3))

    found = [(one.what, one.times, one.count) for one in events.events("sales")]

    assert found == [
        ("collected", 2, 5),
        ("recovered", 1, 0),
        ("failed", 3, 0),
        ("start", 1, 0),
    ]
    for at in range(3 * ENTRIES):
        events.add_session("sales", report(at, collected=at % 2))
    assert len(events.events("sales")) == ENTRIES
    events.forget("sales")
    assert events.events("sales") == ()


def test_a_chart_has_a_bar_for_each_session_and_marks_failures() -> None:
    sessions = [
        ShownSession.of(report(2, collected=10)),
        ShownSession.of(report(1, Outcome.FAILED)),
        ShownSession.of(report(0, collected=5)),
    ]

    drawn = str(session_chart(sessions, language("en")))

    assert drawn.count('<rect class="bar-good"') == 2
    assert drawn.count("<circle") == 1
    assert 'role="img"' in drawn
    assert "style=" not in drawn
    # few bars are wide and begin at the left; fewer than three are told by the table
    assert drawn.index('x="0"') < drawn.index('x="28"') < drawn.index('x="56"')
    assert not session_chart(sessions[:2], language("ru"))


@pytest.fixture
def here(tmp_path: Path, dovecot: Dovecot, user: str) -> Iterator[Stage]:
    stage = open_stage(tmp_path / "deployment", dovecot)
    dovecot.deliver(user, [b"From: a@b.example\r\nSubject: <script>x</script>\r\n\r\nx\r\n"])
    path = stage.deployment.declare("sales", user)
    text = path.read_text().replace("spec:", "spec:\n  title: <script>alert(1)</script>", 1)
    stage.deployment.write("sales", text)
    with stage.running():
        yield stage


@contextmanager
def logged_in(stage: Stage, role: Role, language: str = "en") -> Iterator[httpx.Client]:
    headers = {"Accept": "text/html", "Accept-Language": language}
    with httpx.Client(base_url=stage.url, headers=headers, timeout=30) as client:
        client.post("/login", data={"token": stage.tokens[role]})
        yield client


def buttons(page: str) -> list[str]:
    found = re.findall(r"<button[^>]*>([^<]*)</button>", page)
    return [one for one in found if one not in {"Log out", "Выйти"}]


def test_buttons_follow_the_role_and_nothing_secret_is_shown(here: Stage, dovecot: Dovecot) -> None:
    expected = {
        Role.VIEW: [],
        Role.OPERATE: ["Collect", "Check", "Disable"],
        Role.EDIT: [
            "Collect",
            "Check",
            "Edit",
            "Disable",
            "Link for the owner",
            "Clear",
            "Delete",
        ],
    }
    for role, words in expected.items():
        with logged_in(here, role) as client:
            page = client.get("/collectors/sales").text
            assert buttons(page) == words
            assert dovecot.password not in page
            assert "<script>alert" not in page
            assert "&lt;script&gt;alert(1)" in page
            live = client.get("/collectors/sales", headers={"X-Fragment": "live"}).text
            assert "<html" not in live
            assert client.get("/collectors/nobody").status_code == 404


def test_what_a_role_may_not_do_is_refused(here: Stage) -> None:
    with logged_in(here, Role.VIEW) as client:
        found = re.search(r'name="csrf" content="([^"]+)"', client.get("/service").text)
        assert found
        form = {"csrf": found[1], "folder": "INBOX", "key": "1"}
        for path in (
            "/service/pause",
            "/service/resume",
            "/manifests/reload",
            "/manifests/confirm",
            "/collectors/sales/explain",
            "/collectors/sales/connect",
            "/collectors/sales/owner-link",
            "/collectors/sales/check",
        ):
            assert client.post(path, data=form).status_code == 403, path
    with logged_in(here, Role.EDIT) as client:
        assert client.post("/service/pause", data={"reason": "x"}).status_code == 403  # no csrf
        assert client.get("/service").text.count("Pause all") == 1


def test_pages_speak_russian(here: Stage) -> None:
    with logged_in(here, Role.EDIT, "ru") as client:
        page = client.get("/collectors/sales").text
        assert buttons(page) == [
            "Собрать",
            "Проверить",
            "Редактировать",
            "Выключить",
            "Ссылка для владельца",
            "Очистить",
            "Удалить",
        ]
        assert "Приостановить всё" in client.get("/service").text
        assert "Перечитать" in client.get("/manifests").text
