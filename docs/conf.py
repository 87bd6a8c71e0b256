"""How Sphinx builds the pages of this directory into a site: `make docs`."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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


FROM_THE_ROOT = {
    "architecture": "ARCHITECTURE",
    "contributing": "CONTRIBUTING",
    "changelog": "CHANGELOG",
}
"""Pages whose text is a file of the repository's root."""


def setup(app: Sphinx) -> None:
    """Change the text of some pages before it is read."""
    app.connect("source-read", _prepare)


def _prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Take pages of the root from there. Keep single rules out of the contents: rules/README.md
    lists them."""
    if page in FROM_THE_ROOT:
        source[0] = _from_the_root(app.srcdir.parent / f"{FROM_THE_ROOT[page]}.md")
    elif page.startswith("rules/") and page != "rules/README":
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"


def _from_the_root(path: Path) -> str:
    """Return the file's text with its links as seen from `docs/`."""
    text = path.read_text(encoding="utf-8").replace("](docs/", "](")
    for page, name in FROM_THE_ROOT.items():
        text = text.replace(f"]({name}.md", f"]({page}.md")
    return text
