"""What docs/secrets.md shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.model.spec import SecretRef
from reconciler.secrets import read_secret
from tests.project import ROOT

PAGE = (ROOT / "docs" / "secrets.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
REFERENCES = [
    YAML(typ="safe").load(text)["password"]["file"]
    for _, text in BLOCKS
    if text.startswith("password:")
]


def test_systemd_s_credentials_are_where_the_manifest_looks() -> None:
    unit = ROOT / "deploy" / "systemd" / "mailcollector.service"
    loaded = re.findall(r"^LoadCredential=(\w+):(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    ((name, directory),) = loaded
    assert f"`{directory}/sales`" in PAGE
    assert REFERENCES[0] == f"/run/credentials/{unit.name}/{name}_sales"


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
