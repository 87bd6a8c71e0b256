"""What docs/secrets.md shows."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from reconciler.manifests.spec import SecretRef
from reconciler.secrets import read_secret
from tests.project import ROOT

PAGE = (ROOT / "docs" / "secrets.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
REFERENCES = [YAML(typ="safe").load(text)["password"]["file"] for _, text in BLOCKS if text.startswith("password:")]


class Several(dict[str, Any]):
    """A unit's file names some settings repeatedly."""

    def __setitem__(self, key: str, value: Any) -> None:
        if isinstance(value, list) and key in self:
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


def unit() -> tuple[str, configparser.RawConfigParser]:
    text = next(text for language, text in BLOCKS if language == "ini")
    parser = configparser.RawConfigParser(dict_type=Several, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as the documentation tells
    parser.read_string(text)
    return Path(text.splitlines()[0].removeprefix("# ")).name, parser


def test_systemd_s_credentials_are_where_the_manifest_looks() -> None:
    name, parser = unit()
    loaded = parser.get("Service", "LoadCredential").split("\n")
    assert f"/run/credentials/{name}/{loaded[0].partition(':')[0]}" == REFERENCES[0]


def test_systemd_s_command_is_one() -> None:
    words = unit()[1].get("Service", "ExecStart").split()
    program = Path(sys.executable).with_name(Path(words[0]).name)
    done = subprocess.run([program, *words[1:2], "/nowhere/at/all", *words[3:4], "/tmp/never-made"], check=False,
                          capture_output=True, text=True)
    assert (done.returncode, "/nowhere/at/all" in done.stderr) == (2, True)
    assert not Path("/tmp/never-made/ledger.sqlite3").exists()


def test_a_credential_of_systemd_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it lays them out: mode 0400, in a directory of mode 0500."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "sales").write_text("open sesame\n")
    (tmp_path / "sales").chmod(0o400)
    tmp_path.chmod(0o500)
    found = read_secret(SecretRef(file=str(Path(os.environ["CREDENTIALS_DIRECTORY"]) / "sales")))
    assert found.reveal() == "open sesame"


def test_compose_s_secret_is_where_the_manifest_looks() -> None:
    text = next(text for language, text in BLOCKS if text.startswith("# compose.yaml"))
    compose = YAML(typ="safe").load(text)
    (name,) = compose["services"]["mailcollector"]["secrets"]
    assert compose["secrets"].keys() == {name}
    assert REFERENCES[1] == f"/run/secrets/{name}"


def test_the_references_of_its_table_are_references() -> None:
    for shown in re.findall(r"^\| `(\{.*?\})` \|", PAGE, re.MULTILINE):
        SecretRef.model_validate(YAML(typ="safe").load(shown))
