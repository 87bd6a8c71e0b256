"""The corpus: valid manifests, and invalid ones with the expected diagnostics.

`NAME.expected.json` has the diagnostics of `invalid/NAME.yaml`, or of a directory `invalid/NAME`
whose files are checked together. `python -m tests.manifests.corpus` writes these files: read the
difference before you commit it. Diagnostics about features of later versions are left out.
"""

from __future__ import annotations

import json
import os
from contextlib import chdir
from pathlib import Path
from typing import Any

from reconciler.manifests.validation import validate

ROOT = Path(__file__).parent
VALID = sorted((ROOT / "valid").glob("*.yaml"))
INVALID = sorted(path for path in (ROOT / "invalid").iterdir() if path.suffix != ".json")


def said(path: Path) -> list[dict[str, Any]]:
    """Return the diagnostics of a file or directory of the corpus. Files are relative to the
    corpus."""
    with chdir(path.parent):
        return [diagnostic.as_json() for diagnostic in validate([Path(path.name)])]


def expectation(path: Path) -> Path:
    return path.with_name(f"{path.stem}.expected.json")


if __name__ == "__main__":
    for case in INVALID:
        text = json.dumps(said(case), indent=1, ensure_ascii=False)
        expectation(case).write_text(text + os.linesep, encoding="utf-8")
