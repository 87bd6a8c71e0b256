"""`mailcollector import`."""  # noqa: N999  # the verb is called so

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from reconciler.cli.common_options import FILES, common_options
from reconciler.cli.connect import MANIFESTS, running_daemon
from reconciler.cli.manifest_changes import diagnostic_line
from reconciler.cli.readable_text import print_message
from reconciler.cli.verb import verb
from reconciler.model.errors import CollectorError
from reconciler.model.harmless_text import escape
from reconciler.model.settings import Settings

if TYPE_CHECKING:
    from reconciler.manifests.foreign.imported_accounts import (
        ForeignConfiguration,
        ImportedManifests,
        Present,
    )


class ConfigurationUnreadable(CollectorError):
    """The other tool's configuration cannot be understood."""

    reason = "ConfigurationUnreadable"


@verb(
    "import",
    examples=[
        (
            "mailcollector import fetchmailrc ~/.fetchmailrc",
            "writes a manifest for each account into ./collectors.d",
        ),
        (
            "mailcollector import getmailrc ~/.config/getmail/getmailrc --local-domain example.org",
            "the same for getmail, with local users as addresses of example.org",
        ),
        (
            "mailcollector import fetchmailrc fetchmailrc --dry-run",
            "prints the manifests, and writes nothing",
        ),
    ],
    exits={
        0: "written; what was not carried over is said",
        1: "an account was left out; or nothing was written, because the configuration cannot "
        "be read or a file "
        "exists already",
        2: "usage",
    },
)
@click.argument("tool", type=click.Choice(["fetchmailrc", "getmailrc"]))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--local-domain",
    metavar="DOMAIN",
    default="localhost",
    show_default=True,
    help="Local users are addresses of this domain.",
)
@click.option(
    "--secrets",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the passwords go, a file of mode 0600 each; default: a directory .secrets in "
    "that of the "
    "manifests, which git ignores.",
)
@click.option("--dry-run", is_flag=True, help="Print the manifests; write nothing.")
@common_options(uses=FILES)
def command(
    settings: Settings,
    tool: str,
    file: Path,
    local_domain: str,
    secrets: Path | None,
    dry_run: bool,
) -> int:
    """Writes manifests for the accounts of fetchmail 6.4 or getmail6: a file for each collector,
    one for each Destination, and the passwords in files of their own. What could not be carried
    over, or works differently here, is reported with its line, on stderr and in the manifest. An
    account that cannot be understood, or whose manifest would be invalid, is left out; the others
    are written. No existing file is overwritten. A Destination that exists already is used. The
    tool's own record of what it has fetched is not read."""
    foreign = _read(tool, file, local_domain)
    directory = _directory(settings)
    found = _manifests(foreign, file, directory, secrets)
    invalid = _invalid(settings, directory, found)
    for note in sorted(
        [*foreign.notes, *(note for one in foreign.accounts for note in one.notes)],
        key=lambda note: note.line,
    ):
        print_message(escape(f"{file}:{note.line}: {note.message}"))
    for name, why in invalid.items():
        print_message(escape(f"{file}: {name.removesuffix('.yaml')} is left out: {why}"))
    found = found.without(invalid)
    if dry_run:
        click.echo("---\n".join(found.texts.values()), nl=False)
    else:
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory, secrets or directory / ".secrets", found)
    return 1 if invalid or foreign.left_out else 0


def _read(tool: str, file: Path, domain: str) -> ForeignConfiguration:
    # not needed for --help
    from reconciler.manifests.foreign.fetchmail import fetchmail  # noqa: PLC0415
    from reconciler.manifests.foreign.getmail import getmail  # noqa: PLC0415
    from reconciler.manifests.foreign.imported_accounts import (  # noqa: PLC0415
        ForeignConfiguration,
        Note,
        UnreadableConfiguration,
    )

    raw = file.read_bytes()
    notes: tuple[Note, ...] = ()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:  # both tools read bytes
        text = raw.decode("latin-1")
        notes = (
            Note(
                raw.count(b"\n", 0, error.start) + 1,
                "this is not UTF-8: it is read as Latin-1, and what the "
                "tool sent as it stands here, a user name or a password, is sent as UTF-8",
            ),
        )
    try:
        found = {"fetchmailrc": fetchmail, "getmailrc": getmail}[tool](
            text.removeprefix("\ufeff"), domain, str(file.absolute().parent)
        )
        return ForeignConfiguration(found.accounts, (*notes, *found.notes), found.left_out)
    except UnreadableConfiguration as error:
        raise ConfigurationUnreadable(f"{file}:{error.line}: {error}") from error


def _directory(settings: Settings) -> Path:
    if settings.manifests is None and (daemon := running_daemon(settings)) is not None:
        with daemon:
            return daemon.manifests()
    return settings.manifests or MANIFESTS


def _manifests(
    foreign: ForeignConfiguration, file: Path, directory: Path, secrets: Path | None
) -> ImportedManifests:
    from reconciler.manifests.editing.modeline import modeline_for  # noqa: PLC0415
    from reconciler.manifests.foreign.imported_accounts import manifests  # noqa: PLC0415

    where = ".secrets" if secrets is None else os.path.relpath(secrets, directory)
    return manifests(
        foreign,
        file.name,
        where if secrets is None or not secrets.is_absolute() else str(secrets),
        _present(directory),
        modeline=modeline_for(directory),
    )


def _present(directory: Path) -> Present:
    """Return what the manifests of the directory declare."""
    # not needed for --help
    from reconciler.manifests.editing.manifest_editor import ManifestEditor  # noqa: PLC0415
    from reconciler.manifests.foreign.imported_accounts import NOTHING, Present  # noqa: PLC0415
    from reconciler.model.spec import Destination  # noqa: PLC0415

    if not directory.is_dir():
        return NOTHING
    editor = ManifestEditor(directory)
    files = [record.result for record in editor.manifests.records.values()]
    found = {
        one.manifest.metadata.name: one.manifest.spec
        for file in files
        for one in file.manifests
        if isinstance(one.manifest, Destination)
    }
    others = {one.name for file in files for one in file.named() if one.kind == "Destination"}
    stems = {path.stem for path in directory.glob("*.yaml")}  # no file is overwritten
    others |= {stem.removeprefix("destination-") for stem in stems}
    return Present(frozenset({*editor.names(), *stems}), found, frozenset(others - found.keys()))


def _invalid(settings: Settings, directory: Path, found: ImportedManifests) -> dict[str, str]:
    """Return the manifests that would be invalid: file name to diagnostics, in one line."""
    # not needed for --help
    from reconciler.manifests.editing.manifest_editor import EditRefused, ManifestEditor  # noqa: PLC0415

    with ExitStack() as around:
        present = (
            directory if directory.is_dir() else Path(around.enter_context(TemporaryDirectory()))
        )
        editor = ManifestEditor(present, allow_inline_secrets=settings.allow_inline_secrets)
    files = {name: (directory / name, text.encode()) for name, text in found.texts.items()}

    def diagnostics_of(*names: str | None) -> str:
        try:
            editor.require_all_valid(dict(files[name] for name in names if name is not None))
        except EditRefused as error:
            return "; ".join(diagnostic_line(one) for one in error.diagnostics)
        return ""

    if not diagnostics_of(*files):
        return {}
    # each collector alone, with its Destination
    reasons = {name: diagnostics_of(place, name) for name, place in found.places.items()}
    return {name: why for name, why in sorted(reasons.items()) if why}


def _write(directory: Path, secrets: Path, found: ImportedManifests) -> None:
    """Write the secrets, then the manifests, which refer to them. Write all files or none: raise
    FileExistsError where one of them exists already."""
    from reconciler.manifests.editing.atomic_files import NewFiles  # noqa: PLC0415
    from reconciler.manifests.editing.modeline import provide  # noqa: PLC0415  # not needed for --help

    files = {directory / name: text.encode() for name, text in found.texts.items()}
    kept = {secrets / name: secret.encode() + b"\n" for name, secret in found.secrets.items()}
    for path in (*files, *kept):
        if os.path.lexists(path):
            raise FileExistsError(17, "exists already: nothing was written", str(path))
    with NewFiles() as made:
        if kept and not secrets.is_dir():
            made.directory(secrets, 0o700)
            made.add(secrets / ".gitignore", b"*\n")  # manifests often lie in a git checkout
        for path, content in kept.items():
            made.add(path, content, 0o600)
        for path, content in files.items():
            made.add(path, content)
    provide(directory)
    for path in files:
        click.echo(escape(str(path)))
