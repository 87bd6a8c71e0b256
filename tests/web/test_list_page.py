"""The list page over HTTP: what it shows, what each role is offered, and what its buttons do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from reconciler.control.admission import Admission
from reconciler.control.event_loop import Clock
from reconciler.control.host_limits import provider_limits
from reconciler.control.pause_switch import PauseSwitch
from reconciler.control.recent_messages import HOURS, RecentMessages
from reconciler.control.service_pause import ServicePause
from reconciler.model.history import CollectedCount
from reconciler.model.outcomes import Failure
from reconciler.web.access.roles import Role
from reconciler.web.page.page_notices import notice_of, with_notice
from reconciler.web.page.page_translation import language
from reconciler.web.page.sparkline import sparkline
from tests.control.manifests import save, text
from tests.web.test_access import HTML, Scenario, Site, on_site

__all__ = ["on_site"]
Play = Callable[[Scenario], None]


async def shown(here: Site, path: str = "/", **headers: str) -> str:
    answer = await here.ask(f"GET {path}", **{**HTML, **headers})
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


async def post(here: Site, path: str, csrf: str, **form: object) -> httpx.Response:
    return await here.browser.post(
        here.url + path, data={"csrf": csrf, **form}, headers=HTML, follow_redirects=False
    )


def names(page: str) -> list[str]:
    return re.findall(r'<tr id="row-([^"]+)"', page)


def buttons(page: str) -> list[str]:
    return [found.strip() for found in re.findall(r"<button[^>]*>([^<]*)</button>", page)]


def test_the_list_is_searched_filtered_sorted_and_paged(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        assert names(await shown(here)) == ["off", "sales"]
        assert names(await shown(here, "/?sort=-name")) == ["sales", "off"]
        assert names(await shown(here, "/?search=почта")) == ["sales"]
        assert names(await shown(here, "/?state=disabled")) == ["off"]
        assert names(await shown(here, "/?label=team=x")) == ["sales"]
        assert names(await shown(here, "/?host=imap.example")) == ["off", "sales"]
        assert "No collector matches." in await shown(here, "/?search=nobody")
        page = await shown(here, "/?limit=1")
        assert names(page) == ["off"]
        following = re.search(r'rel="next" href="([^"]+)"', page)
        assert following
        assert names(await shown(here, following[1])) == ["sales"]
        assert 'aria-sort="ascending"' in page

    on_site(scenario)


def test_the_counts_of_the_states_are_those_of_the_search(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        page = await shown(here, "/?search=sales&state=disabled")
        counts = re.findall(r'class="filter-state ([a-z]*)".*?class="count">([^<]+)<', page)
        assert counts[0] == ("", "1")
        assert ("disabled", "0") in counts

    on_site(scenario)


def test_a_fragment_is_a_part_of_the_page(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        part = await shown(here, "/?search=sales", **{"X-Fragment": "list"})
        assert names(part) == ["sales"]
        assert "<html" not in part
        rows = await shown(here, "/rows?name=off&name=nobody")
        assert names(rows) == ["off"]
        assert rows.lstrip().startswith("<tr")

    on_site(scenario)


@pytest.mark.parametrize("role", Role)
def test_what_a_role_may_not_do_is_not_shown(on_site: Play, role: Role) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in(role)
        there = buttons(await shown(here))
        editing, operating = {"Add", "Edit", "Delete", "Clear"}, {"Enable", "Disable", "Collect"}
        assert (editing <= set(there)) is (role is Role.EDIT)
        assert (operating <= set(there)) is (role is not Role.VIEW)
        for word in ("Add", "Enable", "Disable"):
            assert there.count(word) == (word in there)
        answer = await post(here, "/collectors/sales/clear", csrf)
        assert (answer.status_code == 403) is (role is not Role.EDIT)
        answer = await post(here, "/actions", csrf, names="sales", action="delete")
        assert (answer.status_code == 403) is (role is not Role.EDIT)
        answer = await post(here, "/actions", csrf, names="sales", action="disable")
        assert (answer.status_code == 403) is (role is Role.VIEW)

    on_site(scenario)


def test_W2_a_form_of_another_session_does_nothing(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        for path in ("/actions", "/collectors/sales/delete", "/collectors/sales/collect"):
            assert (await post(here, path, "wrong", names="sales")).status_code == 403

    on_site(scenario)


def test_one_or_many_are_enabled_and_disabled(on_site: Play, root: object) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in()
        answer = await post(
            here, "/actions", csrf, names=["sales", "off"], action="disable", back="/?sort=host"
        )
        assert answer.status_code == 303
        led = urlsplit(answer.headers["location"])
        assert parse_qs(led.query) == {"sort": ["host"], "done": ["disable"], "count": ["2"]}
        page = await shown(here, answer.headers["location"])
        assert "2 collectors are disabled." in page
        assert names(await shown(here, "/?state=disabled")) == ["off", "sales"]
        await post(here, "/collectors/off/enable", csrf)
        assert names(await shown(here, "/?state=disabled")) == ["sales"]
        answer = await post(here, "/actions", csrf, action="enable")
        assert "Select collectors first." in await shown(here, answer.headers["location"])

    on_site(scenario)


def test_deleting_says_what_will_happen_and_asks_once_for_many(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in()
        here.daemon.registry.rows["sales"].size = 1234
        page = await shown(here, "/collectors/sales/delete?back=/%3Fsort%3Dhost")
        assert "Delete sales?" in page
        assert "1,234 messages were collected" in page
        assert "-metadata: {name: sales, labels: {team: x}}" in page
        assert buttons(page).count("Delete") == 1
        assert '<a href="/?sort=host">Back</a>' in page
        asked = await post(here, "/actions", csrf, names=["sales", "off"], action="delete")
        assert "Delete 2 collectors?" in asked.text
        assert len(here.daemon.control.list()) == 2
        await post(here, "/collectors/sales/delete", csrf, back="/collectors/sales")
        assert names(await shown(here)) == ["off"]
        answer = await post(
            here, "/actions", csrf, names=["off"], action="other", other="delete", confirmed="yes"
        )
        assert "1 collector is deleted." in await shown(here, answer.headers["location"])
        assert "There is no collector yet." in await shown(here)

    on_site(scenario)


@pytest.mark.parametrize("word", ["disable", "collect", "unpark", "clear"])
def test_all_that_match_are_acted_upon_once_their_number_is_confirmed(
    on_site: Play, word: str
) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in()
        assert "all 2 that match" in await shown(here, "/?limit=1")
        assert 'name="all"' not in await shown(here)
        whole = {"action": word, "all": "yes", "back": "/?limit=1&after=off"}
        asked = await post(here, "/actions", csrf, **whole)
        assert asked.status_code == 200
        assert re.search(r"<h1>[^<]*\b2 (collectors|mailboxes)\b", asked.text)
        listed = re.findall(r'name="names" value="([^"]+)"', asked.text)
        assert listed == ["off", "sales"]
        assert names(await shown(here, "/?state=disabled")) == ["off"]
        done = await post(
            here, "/actions", csrf, names=listed, action=word, confirmed="yes", back="/"
        )
        assert done.status_code == 303
        matching = {**whole, "back": "/?search=nobody"}
        answer = await post(here, "/actions", csrf, **matching)
        assert "Select collectors first." in await shown(here, answer.headers["location"])

    on_site(scenario)


def test_the_list_is_filtered_by_a_cause(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        here.daemon.script.failure = Failure("AuthenticationFailed", "no")
        await here.daemon.control.collect("sales")
        page = await shown(here, "/?reason=AuthenticationFailed&host=IMAP.example")
        assert names(page) == ["sales"]
        assert re.search(r'id="filter-cause".*aria-current="true">the server refuses', page)
        assert "No collector matches." in await shown(here, "/?reason=Stale")
        assert "No collector matches." in await shown(here, "/?destination=lmtp")

    on_site(scenario)


def test_clearing_says_how_much_is_collected_again(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in()
        await here.daemon.control.collect("sales")
        here.daemon.registry.rows["sales"].size = 9
        page = await shown(here, "/collectors/sales/clear")
        assert "9 messages will be collected again" in page
        answer = await post(here, "/collectors/sales/clear", csrf)
        assert "1 collector was cleared" in await shown(here, answer.headers["location"])
        assert here.daemon.registry.rows["sales"].declared.epoch == 2

    on_site(scenario)


def test_what_needs_attention_comes_first_each_cause_once(on_site: Play, root: object) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        here.daemon.script.failure = Failure(
            "AuthenticationFailed", "<b>no</b>", advice="Make an app password."
        )
        await here.daemon.control.collect("sales")
        page = await shown(here)
        assert "imap.example wants an app password" in page
        assert "1 collector, 1 person" in page
        assert page.index("Needs attention") < page.index('type="search"')
        raw = (await here.ask("GET /", **HTML)).text
        assert "<b>no</b>" not in raw
        russian = await shown(here, **{"Accept-Language": "ru"})
        assert "imap.example требует пароль приложения" in russian
        assert "1 сборщик, 1 человек" in russian

    on_site(scenario)


def test_a_manifest_with_errors_leads_to_the_manifests(on_site: Play, root: object) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        save(here.daemon.controller.directory.root, "typo", text("typo", "4s"))
        await here.daemon.controller.turn()
        page = await shown(here)
        assert "The manifest has errors" in page
        assert 'href="/manifests">Show the errors' in page

    on_site(scenario)


def test_a_pause_is_told_first_with_the_button_that_ends_it(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in(Role.OPERATE)
        control, admission = here.daemon.control, Admission(4, provider_limits)
        control.pauses = PauseSwitch(ServicePause(None), admission, control._board, Clock())
        await post(here, "/service/pause", csrf, reason="<b>the move</b>")
        raw = (await here.ask("GET /", **HTML)).text
        assert "The service is paused" in raw
        assert "&lt;b&gt;the move&lt;/b&gt;" in raw
        assert "Resume" in buttons(raw)
        assert names(await shown(here, "/?state=paused")) == ["sales"]
        await post(here, "/service/resume", csrf)
        assert "The service is paused" not in await shown(here)

    on_site(scenario)


def test_a_check_shows_its_steps(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        csrf = await here.log_in()
        answer = await post(here, "/collectors/sales/check", csrf)
        assert "All is well." in answer.text
        assert "connect" in answer.text

    on_site(scenario)


def test_messages_of_the_last_day_are_drawn(on_site: Play) -> None:
    async def scenario(here: Site) -> None:
        await here.log_in()
        await here.daemon.control.collect("sales")
        drawn = await shown(here, "/rows?name=sales")  # the first session may be another one
        assert re.search("<title>(9|18) messages in the last day</title>", drawn)
        assert "in the last day" not in await shown(here, "/rows?name=off")

    on_site(scenario)


def test_a_notice_is_a_fixed_sentence_and_leads_nowhere_else() -> None:
    english, russian = language("en"), language("ru")
    path = with_notice("/?search=a%26b&done=delete&count=9", "enable", 1234)
    assert path == "/?search=a%26b&done=enable&count=1234"
    assert with_notice("https://evil.example/x", "save").startswith("/x?")
    found = notice_of({"done": "enable", "count": "1234"}, english)
    assert found
    assert (found.text, found.tone) == ("1,234 collectors are enabled.", "good")
    assert notice_of({"done": "<script>"}, english) is None
    refused = notice_of({"done": "collect", "count": "0", "refused": "2"}, russian)
    assert refused
    assert refused.text == "2 сборщика отказались: причины на их страницах."
    assert notice_of({"done": "enable", "count": "-1"}, english)


def test_the_hours_of_the_last_day() -> None:
    recent, now = RecentMessages(), datetime(2026, 5, 5, 12, 30, tzinfo=UTC)
    before = (
        CollectedCount("a", now - timedelta(hours=23), 2),
        CollectedCount("a", now - timedelta(hours=24), 7),
    )
    recent.add("a", now, 5)
    recent.recall(before)
    assert recent.hours("a", now) == [2, *([0] * 22), 5]
    later = now + timedelta(hours=1)
    assert recent.hours("a", later) == [*([0] * 22), 5, 0]
    recent.add("a", later, 1)
    recent.add("b", later, 3)
    assert recent.hours("a", later) == [*([0] * 22), 5, 1]
    assert recent.total(later) == 9
    assert sum(recent.hours("a", now + timedelta(days=3))) == 0
    recent.forget("b")
    assert sum(recent.hours("b", later)) == 0
    assert len(recent.hours("nobody", now)) == HOURS


def test_a_sparkline_has_a_bar_for_each_value_and_a_label() -> None:
    drawn = sparkline([0, 1, 100], "101 <messages>")
    assert drawn.count("<rect") == 2
    assert "101 &lt;messages&gt;" in drawn
    assert "style=" not in drawn
    assert "<rect" not in sparkline([0, 0], "")
