"""Chromium as a camera: pictures in each language and colour scheme, wide and narrow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, StorageState

from demo.picture_files import with_few_colours
from demo.picture_pages import Picture

BUILD, SHOWN = Path("build/pictures"), Path("docs/pictures")
IN_README = {"list-en-light-1280": "list.png", "form-en-light-1280": "form.png"}
LOCALES = {"en": "en-US", "ru": "ru-RU"}
VARIANTS = tuple(itertools.product(LOCALES, ("light", "dark"), (1280, 390)))
TIMEOUT = 120_000.0
"""Milliseconds that an element of a page may take."""
Variant = tuple[str, str, int]


def name_of(picture: Picture, variant: Variant) -> str:
    """Return a picture's name: what, language, colours, width."""
    return "-".join((picture.name, *map(str, variant)))


@dataclass
class Camera:
    """Takes the pictures whose names begin with one of `wanted`, of the page at `url`."""

    browser: Browser
    wanted: tuple[str, ...] = ("",)
    url: str = ""
    session: StorageState | None = field(default=None, repr=False)

    def wants(self, pictures: Sequence[Picture]) -> bool:
        """Return whether any of these is to be taken."""
        return any(
            name_of(one, variant).startswith(self.wanted)
            for one in pictures
            for variant in VARIANTS
        )

    def log_in(self, link: str) -> None:
        """Follow a link that logs in once."""
        self.url = link.partition("/login/")[0]
        context = self.browser.new_context()
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()
        page.goto(link)
        page.wait_for_url(f"{self.url}/")
        self.session = context.storage_state()
        context.close()

    def take(self, pictures: Sequence[Picture]) -> None:
        """Take these pictures in every variant, and tell the names."""
        for variant in VARIANTS:
            wanted = [one for one in pictures if name_of(one, variant).startswith(self.wanted)]
            if not wanted:
                continue
            with self._visit(variant) as known, self._visit(variant, anonymous=True) as unknown:
                for picture in wanted:
                    page = (unknown if picture.anonymous else known).new_page()
                    page.goto(f"{self.url}{picture.path}")
                    picture.prepare(page)
                    self.shoot(page, name_of(picture, variant))
                    page.close()

    def open(self, pictures: Sequence[Picture]) -> Iterator[tuple[Page, str]]:
        """Open these pages in every variant, and yield each with its name. They stay open."""
        for picture, variant in itertools.product(pictures, VARIANTS):
            if name_of(picture, variant).startswith(self.wanted):
                page = self._context(variant, self.session).new_page()
                page.goto(f"{self.url}{picture.path}")
                yield page, name_of(picture, variant)

    def shoot(self, page: Page, name: str) -> None:
        """Take one picture of a page as it is."""
        page.evaluate("document.fonts.ready")
        taken = page.screenshot(path=BUILD / f"{name}.png", full_page=True)
        if name in IN_README:
            SHOWN.mkdir(exist_ok=True)
            (SHOWN / IN_README[name]).write_bytes(with_few_colours(taken))
        print(name, flush=True)

    @contextmanager
    def _visit(self, variant: Variant, *, anonymous: bool = False) -> Iterator[BrowserContext]:
        context = self._context(variant, None if anonymous else self.session)
        yield context
        context.close()

    def _context(self, variant: Variant, session: StorageState | None) -> BrowserContext:
        language, scheme, width = variant
        context = self.browser.new_context(
            locale=LOCALES[language],
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 800},
            storage_state=session,
        )
        context.set_default_timeout(TIMEOUT)
        return context
