"""`mailcollector init`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from reconciler.cli.common_options import common_options
from reconciler.cli.verb import verb
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

_IGNORED = ("/secrets/", "/state/")
_WORKFLOW = """\
# Checks the collectors whenever they change, and annotates pull requests with every mistake.
on: [push, pull_request]
permissions:
  contents: read
jobs:
  validate:
    runs-on: ubuntu-latest
    env:
      MAILCOLLECTOR: mailcollector  # or where you have it from: git+https://…@v0.1.0
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: python -m pip install --quiet "$MAILCOLLECTOR"
      - run: mailcollector validate collectors.d --output github
"""
_PIPELINE = """\
# Checks the collectors whenever they change, and shows every mistake in the merge request.
validate collectors:
  image: python:3.12
  variables:
    MAILCOLLECTOR: mailcollector  # or where you have it from: git+https://…@v0.1.0
  before_script:
    - python -m pip install --quiet "$MAILCOLLECTOR"
  script:
    - mailcollector validate collectors.d
  after_script:
    - mailcollector validate collectors.d --output gitlab > quality.json || true
  artifacts:
    when: always
    reports:
      codequality: quality.json
"""
_CI = {
    "github": (".github/workflows/collectors.yaml", _WORKFLOW),
    "gitlab": (".gitlab-ci.yml", _PIPELINE),
}


@verb(
    "init",
    examples=[
        (
            "mailcollector init",
            "makes collectors.d, secrets and what git and CI want in the current directory",
        ),
        ("mailcollector init /srv/mail --ci gitlab", "the same in /srv/mail, for GitLab's CI"),
    ],
    exits={0: "made, or there already", 1: "something cannot be written", 2: "usage"},
)
@click.argument(
    "directory", metavar="[DIR]", default=Path(), type=click.Path(file_okay=False, path_type=Path)
)
@click.option(
    "--ci",
    type=click.Choice([*_CI, "none"]),
    default="github",
    show_default=True,
    help="For whose CI a job that checks the manifests is written.",
)
@common_options(uses=())
def command(_: Settings, directory: Path, ci: str) -> int:
    """Makes a directory to begin with, DIR or the current one. It contains `collectors.d` for the
    manifests, `secrets` for passwords (0700, ignored by git), the JSON Schema and the settings by
    which editors find it, `.gitignore`, and a CI job that checks the manifests. Existing files stay
    as they are."""
    for path, made in _make_missing(directory, ci):
        click.echo(f"{'made  ' if made else 'kept  '} {escape(str(path))}")
    here = "" if directory == Path() else f"cd {escape(str(directory))}; "
    click.echo(
        f"\nNext:\n  {here}mailcollector add NAME      asks for the account, and declares a "
        "collector\n"
        "  mailcollector check NAME    logs in and counts, collects nothing\n"
        "  mailcollector run           collects, until Ctrl-C"
    )
    return 0


def _make_missing(directory: Path, ci: str) -> Iterator[tuple[Path, bool]]:
    """Make what is missing; yield each path, and whether it was made."""
    from reconciler.manifests.editing.modeline import write_schema  # noqa: PLC0415
    from reconciler.manifests.schema_export import json_schema  # noqa: PLC0415  # not needed for --help

    yield directory / "collectors.d", _make_directory(directory / "collectors.d", 0o755)
    _make_file(directory / "collectors.d" / ".gitkeep", "")
    yield directory / "secrets", _make_directory(directory / "secrets", 0o700)
    _make_file(directory / "secrets" / ".gitignore", "*\n")
    place = directory / "schemas" / json_schema.FILE
    yield place, write_schema(place)
    settings: dict[str, Any] = {
        "yaml.schemas": {
            f"./schemas/{json_schema.FILE}": ["collectors.d/**/*.yaml", "collectors.d/**/*.yml"]
        }
    }
    editor_settings = directory / ".vscode" / "settings.json"
    yield editor_settings, _make_file(editor_settings, json.dumps(settings, indent=2) + "\n")
    yield directory / ".gitignore", _complete_gitignore(directory / ".gitignore")
    if ci in _CI:
        name, content = _CI[ci]
        yield directory / name, _make_file(directory / name, content)


def _make_directory(path: Path, mode: int) -> bool:
    """Make a directory; return whether it did not exist."""
    if path.is_dir():
        return False
    path.mkdir(mode=mode, parents=True)
    return True


def _make_file(path: Path, content: str) -> bool:
    """Make a file; return whether it did not exist."""
    from reconciler.manifests.editing.atomic_files import new_file  # noqa: PLC0415

    if os.path.lexists(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new_file(path, content.encode())
    return True


def _complete_gitignore(path: Path) -> bool:
    """Add the missing lines to a .gitignore; return whether there were any."""
    from reconciler.manifests.editing.atomic_files import new_file, replace_file  # noqa: PLC0415

    found = path.read_bytes() if path.exists() else None
    lines = (found or b"").decode(errors="replace").splitlines()
    there = {line.strip("/ ") for line in lines}
    missing = [line for line in _IGNORED if line.strip("/") not in there]
    if not missing:
        return False
    added = "".join(f"{line}\n" for line in missing).encode()
    if found is None:
        new_file(path, added)
    else:
        replace_file(
            path, found, found + (b"" if found.endswith(b"\n") or not found else b"\n") + added
        )
    return True
