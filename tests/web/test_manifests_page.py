"""The page of the manifests, in Russian: what is held and why, and the button that confirms it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import httpx

from reconciler.web.access.roles import Role
from tests.servers.dovecot import Dovecot
from tests.web.browser.stage import open_stage
from tests.web.test_collector_page import logged_in

REROUTE, EMPTY = ".allow-reroute", ".allow-empty"


def sent(client: httpx.Client, action: str) -> httpx.Response:
    """Press the button of a form on the page."""
    page = client.get("/manifests").text
    form = page.partition(f'action="{action}"')[2].partition("</form>")[0]
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', form)
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(html.unescape(value))
    return client.post(action, data=data, follow_redirects=True)


def test_what_is_held_is_confirmed_as_the_button_says(
    tmp_path: Path, dovecot: Dovecot, user: str
) -> None:
    stage = open_stage(tmp_path / "deployment", dovecot)
    deployment = stage.deployment
    for name in ("a", "b"):
        deployment.declare(name, f"{name}-{user}", interval="1h")
    with stage.running() as daemon, logged_in(stage, Role.EDIT, "ru") as client:
        deployment.write(
            "wrong",
            "apiVersion: mailcollector/v1\nkind: MailCollector\n"
            "metadata: {name: wrong}\nspec: {}\n",
        )
        page = sent(client, "/manifests/reload").text
        assert "не хватает `source`" in html.unescape(page)
        assert REROUTE not in page
        assert EMPTY not in page
        (deployment.manifests / "wrong.yaml").unlink()

        destination = deployment.manifests / "destination.yaml"
        destination.write_text(destination.read_text().replace("/mail/{", "/elsewhere/{"))
        page = sent(client, "/manifests/reload").text
        assert "Почта 2 сборщиков пошла бы в другое место" in page
        assert REROUTE in page
        assert EMPTY not in page
        stale = client.post("/manifests/reroute", data={"csrf": csrf(page), "reason": "another"})
        assert stale.status_code == 409
        assert "больше не удерживается" in stale.text
        page = sent(client, "/manifests/reroute").text
        assert "Почта 2 сборщиков теперь идёт в новое место доставки." in page
        assert REROUTE not in page
        assert not (deployment.manifests / REROUTE).exists()

        for name in ("a", "b"):
            (deployment.manifests / f"{name}.yaml").unlink()
        daemon.until("removals are held", lambda: EMPTY in client.get("/manifests").text or None)
        page = sent(client, "/manifests/confirm").text
        assert "2 сборщика удалены." in page
        assert EMPTY not in page
        assert client.get("/collectors/a").status_code == 404


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]
