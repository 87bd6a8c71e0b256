"""What an editor shows: mistakes, explanations, what can be written; in the first and the second
document of a file."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.manifests.editing.modeline import modeline
from reconciler.manifests.schema_export import json_schema
from reconciler.manifests.validation import validate
from tests import tools
from tests.editors.language_server import LanguageServer, OpenFile
from tests.editors.mistakes import GOOD, MISTAKES, made
from tests.editors.test_validators import broken_by_the_schema

MODELINE = modeline(f"../schemas/{json_schema.FILE}")
DESTINATION = """\
apiVersion: mailcollector/v1
kind: Destination
metadata:
  name: local
spec:
  default: true
  maildir:
    path: /var/mail/{domain}/{local}
"""


_numbers = itertools.count(1)


def fresh(directory: Path) -> Path:
    """A file that the server has not seen: of one that was closed it says once more that nothing is
    wrong."""
    return directory / f"{next(_numbers)}.yaml"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    for name in ("collectors.d", "schemas", "elsewhere"):
        (directory / name).mkdir()
    shutil.copy(tools.ROOT / "schemas" / json_schema.FILE, directory / "schemas")
    return directory


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LanguageServer]:
    tools.require()
    settings = {
        "validate": True,
        "hover": True,
        "completion": True,
        "schemaStore": {"enable": False},
        "schemas": {f"./schemas/{json_schema.FILE}": ["elsewhere/*.yaml"]},
    }
    with LanguageServer(tools.SERVER, root, settings) as running:
        yield running


@pytest.fixture(scope="module", params=["first", "second"])
def opened(
    request: pytest.FixtureRequest, server: LanguageServer, root: Path
) -> Iterator[OpenFile]:
    """A good file, and a collector in its first or second document."""
    parts = [GOOD, DESTINATION] if request.param == "first" else [DESTINATION, GOOD]
    with server.opened(
        root / "collectors.d" / f"{request.param}.yaml",
        "---\n".join(MODELINE + part for part in parts),
    ) as file:
        yield file


def test_good_manifests_have_no_diagnostics(opened: OpenFile) -> None:
    assert opened.messages() == []


@pytest.mark.parametrize("place", ["first", "second"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_marked_where_it_is_in_the_words_of_validate(
    server: LanguageServer, root: Path, mistake: str, place: str
) -> None:
    _, _, at, said, validated = MISTAKES[mistake]
    before = "" if place == "first" else MODELINE + DESTINATION + "---\n"
    text = before + MODELINE + made(mistake)
    line = text[: text.index(at, len(before) + len(MODELINE))].count("\n") + 1
    path = fresh(root / "collectors.d")
    path.write_text(text)

    with server.opened(path, text) as file:
        found = file.messages()
    told = [one for one in validate([path]).diagnostics if one.line == line]

    assert [message for at_line, _, message in found if at_line == line and said in message], found
    assert any(validated in one.message for one in told), told
    assert {at_line for at_line, _, _ in found} == {line}
    path.unlink()


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("protoco", "How mail is fetched"),
        ("protocol: ima", "with folders"),
        ("hos", "domain name"),
        ("usernam", "log in with"),
        ("passwor", "exactly one of file, env, command"),
        ("mod", "Default: `new-keep`"),
        ("mode: new-k", "nothing is changed on the server"),
        ("interva", "5s … 24h"),
        ("forwardT", "this mailbox"),
        ("kind: MailC", "declares"),
        ("defaul", "at most one"),
        ("pat", "{domain}"),
    ],
)
def test_hover_explains(opened: OpenFile, before: str, said: str) -> None:
    shown = opened.hover(before)

    assert said in shown
    assert not re.search(r"\w+Spec|SecretRef", shown)


@pytest.mark.parametrize(
    ("before", "label", "inserted"),
    [
        ("mode: ", "all-delete", "all-delete"),
        ("protocol: ", "pop3", "pop3"),
        ("kind: ", "Destination", "Destination"),
    ],
)
def test_words_are_offered_with_what_they_mean(
    opened: OpenFile, before: str, label: str, inserted: str
) -> None:
    offered = opened.completion(before)

    assert offered[label]["insertText"] == inserted
    assert len(str(offered[label]["documentation"])) > 10


@pytest.mark.parametrize("place", ["first", "second"])
@pytest.mark.parametrize(
    ("after", "indent", "label", "inserted"),
    [
        ("spec:", 2, "source", "password:\n    file: ${4:"),
        ("spec:", 2, "collect", "mode: ${1:new-keep}"),
        ("spec:", 2, "recipient", "forwardTo: ${1:"),
        ("source:", 4, "port", "port: "),
        ("source:", 4, "tls", "tls: "),
        ("source:", 4, "password", "file: ${1:"),
        ("source:", 4, "folders", "folders:\n"),
        ("collect:", 4, "limit", "limit: "),
        ("recipient:", 4, "detect", "from:"),
        ("metadata:", 2, "labels", "labels:"),
    ],
)
def test_fields_are_offered_with_what_they_need(
    server: LanguageServer,
    root: Path,
    place: str,
    after: str,
    indent: int,
    label: str,
    inserted: str,
) -> None:
    above = (
        GOOD[: GOOD.index(after)]
        if after != "collect:"
        else GOOD[: GOOD.index("  collect:")] + "  "
    )
    text = (
        "" if place == "first" else f"{MODELINE}{DESTINATION}---\n"
    ) + f"{MODELINE}{above}{after}\n{' ' * indent}{label[0]}"
    with server.opened(fresh(root / "collectors.d"), text) as file:
        offered = file.completion(text)

    assert inserted in str(offered[label]["insertText"])
    assert "${1:0}" not in str(offered[label]["insertText"])
    assert "value" not in offered
    assert not [name for name in offered if re.search(r"Spec|SecretRef", name)]


@pytest.mark.parametrize("text", [MODELINE, f"{MODELINE}{DESTINATION}---\n{MODELINE}"])
def test_a_manifest_begins_with_a_snippet(server: LanguageServer, root: Path, text: str) -> None:
    with server.opened(fresh(root / "collectors.d"), text) as file:
        offered = file.completion(text)

    body = offered["Collector …"]["insertText"]
    plain = re.sub(r"\$\{\d:((?:[^}\\]|\\.)*)\}", lambda found: found[1].replace("\\}", "}"), body)
    (root / "elsewhere" / "new.yaml").write_text(plain)
    assert [
        one for one in validate([root / "elsewhere" / "new.yaml"]).diagnostics if one.is_error
    ] == []


def test_settings_cover_every_document_without_comments(server: LanguageServer, root: Path) -> None:
    text = f"{GOOD}---\n{made('a misspelt field')}"

    with server.opened(root / "elsewhere" / "both.yaml", text) as file:
        ((line, _, message),) = file.messages()

    assert (
        line
        == GOOD.count("\n")
        + 1
        + made("a misspelt field")[: made("a misspelt field").index("intervall")].count("\n")
        + 1
    )
    assert "intervall" in message


@pytest.mark.parametrize("path", broken_by_the_schema(), ids=lambda path: path.stem)
def test_whatever_validate_refuses_by_the_schema_is_marked_in_its_line(
    server: LanguageServer, root: Path, path: Path
) -> None:
    """The language server marks what an alias stands for, at its anchor."""
    expected = json.loads(path.with_suffix(".expected.json").read_text("utf-8"))
    text = path.read_text("utf-8")
    aliases = {
        number for number, line in enumerate(text.splitlines(), 1) if re.search(r": \*\w", line)
    }

    with server.opened(root / "elsewhere" / path.name, text) as file:
        marked = {line for line, _, _ in file.messages()}

    assert marked
    assert {one["line"] for one in expected if one["severity"] == "error"} - aliases <= marked
    assert not [
        message
        for *_, message in file.messages()
        if re.search(r"does not match the pattern|Matches (multiple|a schema)|\w+Spec", message)
    ]
