"""How Sphinx builds the pages of this directory into a site: `make docs`."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "mailcollector"
author = "The mailcollector developers"
release = version = metadata.version("mailcollector")
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # generated pages may begin below the first level
html_theme = "furo"
html_title = f"mailcollector {release}"
html_show_copyright = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Let the pages of single rules stand in no table of contents: rules/README.md lists them."""
    app.connect("source-read", _leave_out_of_the_contents)


def _leave_out_of_the_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    if page.startswith("rules/") and page != "rules/README":
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"
