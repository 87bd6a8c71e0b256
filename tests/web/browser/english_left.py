"""English that is left on a page in another language."""

from __future__ import annotations

import re

from playwright.sync_api import Page

_TEXTS = """() => {
  const apart = "code, pre, kbd, samp, textarea, script, style, template, .language";
  const seen = new Set();
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const above = walker.currentNode.parentElement;
    if (above && !above.closest(apart)) seen.add(walker.currentNode.data.trim());
  }
  for (const one of document.querySelectorAll("*")) {
    for (const name of ["aria-label", "title", "placeholder", "alt", "data-confirm"]) {
      if (one.hasAttribute(name)) seen.add(one.getAttribute(name).trim());
    }
  }
  return [...seen];
}"""
_QUOTED = re.compile(r"`[^`]*`|“[^”]*”|[\w.-]*(?:/[\w.:-]+)+|\{[^{}]*\}")
"""Keys and values of manifests, and paths."""
_WORDS = re.compile(
    r"[A-Za-z]{2,}[,;:]? (?:[a-z]+)\b"
    r"|(?<![\w.@/-])(?:the|is|are|of|to|not|this|no|and|or|it|in)(?![\w.@/:-])"
)


def english_left(page: Page) -> list[str]:
    """Return the texts and names of a page, hidden ones too, that have English words in them."""
    return [text for text in page.evaluate(_TEXTS) if _WORDS.search(_QUOTED.sub("", text))]
