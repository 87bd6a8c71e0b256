"""What a browser is shown where it is refused, and how it comes back to where it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.settings import Settings
from reconciler.web.access.roles import Role
from tests.web.daemon import run
from tests.web.test_access import HTML, site

RUSSIAN = {**HTML, "Accept-Language": "ru"}


def test_a_refusal_is_a_page_for_browsers_and_a_problem_for_programs(
    root: Path,
    settings: Settings,
) -> None:
    async def scenario() -> None:
        async with site(root, settings) as here:
            await here.log_in()
            for path in ("/", "/service"):
                shown = await here.browser.get(
                    here.url + path, headers={**RUSSIAN, "Host": "evil.example"}
                )
                assert shown.status_code == 403
                assert shown.headers["content-type"] == "text/html; charset=utf-8"
                assert "script-src 'self'" in shown.headers["content-security-policy"]
                assert "этот Host здесь не обслуживается" in shown.text
                assert "csrf" not in shown.text
            foreign = {**RUSSIAN, "Sec-Fetch-Site": "cross-site"}
            shown = await here.browser.post(f"{here.url}/actions", headers=foreign)
            assert shown.status_code == 403
            assert "запросы со страниц других сайтов" in shown.text
            for path, headers in (("/", {}), ("/api/v1/collectors", RUSSIAN)):
                told = await here.browser.get(
                    here.url + path, headers={**headers, "Host": "evil.example"}
                )
                assert told.headers["content-type"] == "application/problem+json"
                assert told.status_code == 403

    run(scenario())


@pytest.mark.parametrize(
    ("path", "above"),
    [
        ("/actions", "/"),
        ("/form/check", "/"),
        ("/collectors/sales/collect", "/collectors/sales"),
        ("/manifests/reload", "/manifests"),
        ("/service/pause", "/service"),
    ],
)
def test_after_a_login_a_form_that_was_sent_leads_to_the_page_it_stood_on(
    root: Path, settings: Settings, path: str, above: str
) -> None:
    async def scenario() -> None:
        async with site(root, settings) as here:
            answer = await here.ask(f"POST {path}", **HTML)
            assert answer.headers["location"] == f"/login?next={path}"
            await here.log_in()
            answer = await here.ask(f"GET {path}", **HTML)
            assert (answer.status_code, answer.headers["location"]) == (303, above)
            assert (await here.ask(f"GET {path}")).status_code == 405

    run(scenario())


def test_a_wrong_token_and_another_language_lead_back_all_the_same(
    root: Path,
    settings: Settings,
) -> None:
    async def scenario() -> None:
        async with site(root, settings) as here:
            sent = {"token": "wrong", "next": "/?search=a&state=ready"}
            shown = await here.browser.post(f"{here.url}/login", data=sent, headers=HTML)
            assert shown.status_code == 403
            assert 'name="next" value="/?search=a&amp;state=ready"' in shown.text
            assert "next=/login%3Fnext%3D%252F%253Fsearch%253Da%2526state%253Dready" in shown.text
            await here.log_in(Role.VIEW)
            shown = await here.ask("GET /?search=a", **HTML)
            assert "to=ru&amp;next=/%3Fsearch%3Da" in shown.text

    run(scenario())
