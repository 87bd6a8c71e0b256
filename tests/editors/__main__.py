"""`python -m tests.editors`: what an editor shows of the ten most likely mistakes, and what it
explains and offers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from reconciler.manifests.editing.modeline import modeline
from reconciler.manifests.schema_export import json_schema
from reconciler.manifests.validation import validate
from tests import tools
from tests.editors.language_server import LanguageServer
from tests.editors.mistakes import GOOD, MISTAKES, made


def main(root: Path) -> None:
    for name in ("collectors.d", "schemas"):
        (root / name).mkdir()
    shutil.copy(tools.ROOT / "schemas" / json_schema.FILE, root / "schemas")
    line = modeline(f"../schemas/{json_schema.FILE}")
    with LanguageServer(
        tools.SERVER, root, {"hover": True, "completion": True, "validate": True}
    ) as server:
        for number, mistake in enumerate(MISTAKES):
            path = root / "collectors.d" / f"{number}.yaml"
            path.write_text(line + made(mistake))
            with server.opened(path, path.read_text()) as file:
                print(f"{mistake}\n  editor:")
                for row, column, message in file.messages():
                    print(f"    {row}:{column} {message}")
            print("  validate:")
            for found in validate([path]).diagnostics:
                print(f"    {found.line}:{found.column} {found.message} [{found.rule}]")
        with server.opened(
            root / "collectors.d" / "good.yaml", f"{line}{GOOD}---\n{line}{GOOD}"
        ) as file:
            for word in ("mode: new-k", "interva", "passwor"):
                print(f"hover over {word}:\n    " + file.hover(word, nth=1).replace("\n", "\n    "))
            for before in ("mode: ", "protocol: "):
                offered = {
                    label: item.get("documentation")
                    for label, item in file.completion(before, nth=1).items()
                }
                print(f"completion behind {before!r}: {offered}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
