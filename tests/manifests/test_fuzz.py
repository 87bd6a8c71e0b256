"""A few files of `python -m tests.manifests.fuzz`, and those that once revealed defects."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from reconciler.manifests.editing.manifest_editor import EditRefused, ManifestEditor, NotDeclared
from reconciler.manifests.editing.yaml_patch import Setting, apply_settings
from tests.captured_logs import capture_logs
from tests.control.manifests import text
from tests.manifests.fuzz import Mutator, ordeal

FILES = 12


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_whatever_bytes_a_file_holds_it_is_accepted_or_has_a_diagnostic(
    seed: str, tmp_path: Path
) -> None:
    mutator = Mutator(seed)
    for _ in range(FILES):
        ordeal(tmp_path / "manifests", mutator, mutator.name(), mutator.content())


@pytest.mark.parametrize(
    "name", [b"a\x1b[2Jb.yaml", "a\u202eb.yaml".encode(), b"a\nb.yaml", b"-rf.yaml"]
)
def test_a_name_that_another_file_s_diagnostic_tells_is_harmless(
    name: bytes, tmp_path: Path
) -> None:
    """For the same collector, the same account and two defaults, each diagnostic names the other
    file."""
    ordeal(
        tmp_path / "manifests",
        Mutator("names"),
        name,
        (Path(__file__).parent / "valid" / "minimal.yaml").read_bytes(),
    )


@pytest.mark.parametrize(
    "odd",
    [
        "title: *nothing",
        "title: !e!x y",
        "title: 0x" + "f" * 5000,
        "title: {<<: *nothing}",
        "title: [" + "[" * 70 + "]" * 71,
        "title: &a [*a]",
        "title: '\\'\n  title: x",
        "title: !!timestamp x",
        "? [a]\n  : b",
    ],
)
def test_what_cannot_be_changed_as_it_stands_is_refused_not_a_defect(
    odd: str, tmp_path: Path
) -> None:
    manifest = text("a") + f"  {odd}\n"
    (tmp_path / "a.yaml").write_text(manifest)
    for value in (False, True, "x"):
        setting = Setting(("spec", "enabled"), value)
        with pytest.raises((EditRefused, NotDeclared)):  # the name of what is no YAML is not known
            ManifestEditor(tmp_path).change("a", partial(apply_settings, settings=[setting]))
    assert (tmp_path / "a.yaml").read_text() == manifest
