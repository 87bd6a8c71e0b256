"""The command `python -m demo.pictures [NAME...]`: takes pictures of the page, over twelve
collectors in different states.

All of them go to `build/pictures/`, in each language and colour scheme, wide and narrow; or those
whose names begin with a NAME. The two that the README shows go to `docs/pictures/`, with fewer
colours.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from demo import daemon
from demo.mailserver.server import SmallServer
from demo.picture_files import with_few_colours
from demo.picture_scene import COLLECTORS, PictureScene
from tests.servers.dovecot import free_ports

BUILD, SHOWN = Path("build/pictures"), Path("docs/pictures")
IN_README = {"list-en-light-1280": "list.png", "form-en-light-1280": "form.png"}
LOCALES = {"en": "en-US", "ru": "ru-RU"}
PATIENCE = 60.0
"""Seconds to wait until every collector is in its state."""
Prepare = Callable[[Page], None]


def _nothing(_page: Page) -> None:
    """Leave the page as it is."""


def _fill_in(page: Page) -> None:
    for name, value in {
        "spec.title": "Returns",
        "spec.source.host": "imap.example.org",
        "spec.source.username": "returns@example.org",
        "spec.recipient.forwardTo": "returns@office.example",
    }.items():
        page.locator(f'[name="{name}"]').fill(value)
    page.locator('[name="password"]').fill("anything")
    page.locator("#preview pre").wait_for()


def _make_mistakes(page: Page) -> None:
    page.locator('[name="spec.title"]').fill("Returns")
    page.locator('[name="spec.collect.interval"]').fill("2s")
    page.locator("#collector .actions button.main").click()
    page.locator("#problems").wait_for()


def _mistake_the_token(page: Page) -> None:
    page.locator("#token").fill("mct_no-such-token")
    page.locator("main form button").click()
    page.locator("#wrong").wait_for()


@dataclass(frozen=True)
class Picture:
    """A page, and what is done to it before the picture is taken."""

    name: str
    path: str
    prepare: Prepare = _nothing


PICTURES = (
    Picture("list", "/"),
    Picture("form", "/add", _fill_in),
    Picture("form-errors", "/add", _make_mistakes),
    Picture("collector", "/collectors/sales"),
    Picture("parked", "/collectors/press"),
    Picture("away", "/collectors/berlin"),
    Picture("delete", "/collectors/orders/delete"),
    Picture("manifests", "/manifests"),
    Picture("service", "/service"),
    Picture("login", "/login", _mistake_the_token),
)


def main(wanted: tuple[str, ...]) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("pictures: chromium is not installed: apt-get install chromium")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with (
        tempfile.TemporaryDirectory(prefix="mailcollector-") as root,
        SmallServer() as server,
        sync_playwright() as playwright,
    ):
        scene = PictureScene(Path(root))
        scene.lay_out(server)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with daemon.running(scene, address):
            _await_states(f"http://{address}", scene)
            for name in _take(browser, daemon.login_link(scene, address), wanted):
                print(name, flush=True)
        browser.close()


def _await_states(url: str, scene: PictureScene) -> None:
    """Wait until no collector waits for its first session."""
    deadline = time.monotonic() + PATIENCE
    while True:
        shown = daemon.collectors(scene)
        waiting = [
            one.metadata.name
            for one in shown
            for condition in one.status.conditions
            if condition.type == "Ready" and condition.status == "Unknown"
        ]
        ready = httpx.get(f"{url}/readyz").is_success
        if ready and len(shown) == len(COLLECTORS) and not waiting:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"pictures: these had no session: {waiting}")
        time.sleep(0.2)


def _take(browser: Browser, link: str, wanted: tuple[str, ...]) -> Iterator[str]:
    """Take every picture whose name begins with one of `wanted`, and yield the names."""
    base = link.partition("/login/")[0]
    first = browser.new_context()
    page = first.new_page()
    page.goto(link)
    page.wait_for_url(f"{base}/")
    session = first.storage_state()
    first.close()
    for language, scheme, width in itertools.product(LOCALES, ("light", "dark"), (1280, 390)):
        for picture in PICTURES:
            name = f"{picture.name}-{language}-{scheme}-{width}"
            if name.startswith(wanted or ("",)):
                _take_one(browser, f"{base}{picture.path}", picture, name, session)
                yield name


def _take_one(
    browser: Browser, url: str, picture: Picture, name: str, session: StorageState
) -> None:
    language, scheme, width = name.rsplit("-", 3)[1:]
    context = browser.new_context(
        locale=LOCALES[language],
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": int(width), "height": 800},
        storage_state=session if picture.name != "login" else None,
    )
    page = context.new_page()
    page.goto(url)
    picture.prepare(page)
    taken = page.screenshot(path=BUILD / f"{name}.png", full_page=True)
    context.close()
    if name in IN_README:
        SHOWN.mkdir(exist_ok=True)
        (SHOWN / IN_README[name]).write_bytes(with_few_colours(taken))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
