"""What the directory holds, with real files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from reconciler.control import observation
from reconciler.control.observation import ManifestDirectory, Observation
from reconciler.manifests import manifest_files
from tests.control.manifests import age, save, text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "collectors.d"
    root.mkdir()
    for name in ("a", "b"):
        age(save(root, name))
    return root


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    read, names = manifest_files.read, []

    def noted(path: Path) -> bytes:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(observation, "read", noted)
    return names


def names(look: Observation) -> list[str]:
    return [found.name for found in look.observed.declarations]


def test_only_what_may_have_changed_is_read(root: Path, reads: list[str]) -> None:
    directory = ManifestDirectory(root)
    assert directory.observe().changed
    assert not directory.observe().changed
    assert reads == ["a.yaml", "b.yaml"]
    save(root, "b", text("b", "1h"))
    assert directory.observe().changed
    assert reads[2:] == ["b.yaml"]


def test_a_touched_file_with_the_same_content_is_no_change(root: Path) -> None:
    directory = ManifestDirectory(root)
    before = directory.observe()
    age(save(root, "a"), 5)
    after = directory.observe()
    assert not after.changed
    assert after.observed is before.observed


def test_a_file_written_just_now_is_read_again_for_time_stamps_are_coarse(
    root: Path, reads: list[str]
) -> None:
    directory = ManifestDirectory(root)
    path = save(root, "a")
    os.utime(path, ns=(0, 2**62))
    directory.observe()
    os.utime(path)
    directory.observe()
    directory.observe()
    assert reads.count("a.yaml") >= 2


def test_everything_is_read_again_on_request(root: Path, reads: list[str]) -> None:
    directory = ManifestDirectory(root)
    directory.observe()
    directory.observe(everything=True)
    assert reads == ["a.yaml", "b.yaml"] * 2


def test_Y12_a_file_that_cannot_be_read_is_unreadable_and_the_others_are_there(root: Path) -> None:
    (root / "b.yaml").unlink()
    (root / "b.yaml").symlink_to("nowhere")
    look = ManifestDirectory(root).observe()
    assert names(look) == ["a"]
    assert list(look.observed.unreadable) == [str(root / "b.yaml")]
    assert [found.file for found in look.diagnostics] == [str(root / "b.yaml")]


def test_Y14_a_half_written_file_is_unclear(root: Path) -> None:
    (root / "b.yaml").write_text(text("b")[:60])
    (root / "c.yaml").write_text("")
    look = ManifestDirectory(root).observe()
    assert names(look) == ["a"]
    seen_bad = set(look.observed.unclear) | {found.file for found in look.observed.broken}
    assert seen_bad == {str(root / "b.yaml"), str(root / "c.yaml")}
    assert str(root / "c.yaml") in look.observed.unclear


def test_a_broken_one_says_where_and_how_to_mend_it(root: Path) -> None:
    save(root, "b", text("b", "4s"))
    [broken] = ManifestDirectory(root).observe().observed.broken
    assert (broken.kind, broken.name) == ("MailCollector", "b")
    assert broken.message.startswith(f"{root / 'b.yaml'}:6:")


def test_Y13_the_same_name_in_two_files_is_refused_in_both(root: Path) -> None:
    save(root, "c", text("a"))
    look = ManifestDirectory(root).observe()
    assert names(look) == ["b"]
    assert sorted(found.file for found in look.observed.broken) == [
        str(root / "a.yaml"),
        str(root / "c.yaml"),
    ]


def test_Y17_a_vanished_directory_is_an_error_and_comes_back_as_it_was(root: Path) -> None:
    directory = ManifestDirectory(root)
    first = directory.observe()
    root.rename(root.with_name("away"))
    gone = directory.observe()
    assert gone.observed.vanished
    assert gone.changed
    assert not gone.place
    assert not directory.observe().changed
    root.with_name("away").rename(root)
    back = directory.observe()
    assert back.changed
    assert (back.observed, back.place) == (first.observed, first.place)


def test_a_swapped_link_is_followed_and_files_keep_their_names(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "second")
    save(tmp_path / "second", "b", text("b", "1h"))
    link = tmp_path / "link"
    link.symlink_to(root)
    directory = ManifestDirectory(link)
    first = directory.observe()
    (tmp_path / "new").symlink_to("second")
    (tmp_path / "new").replace(link)
    second = directory.observe()
    assert second.changed
    assert second.place != first.place
    assert first.observed.declarations[0] == second.observed.declarations[0]
    assert first.observed.declarations[1] != second.observed.declarations[1]


def test_none_at_all_is_meant_where_a_file_says_so(root: Path) -> None:
    directory = ManifestDirectory(root)
    assert not directory.observe().observed.empty_confirmed
    (root / ".allow-empty").touch()
    assert directory.observe().observed.empty_confirmed


def test_a_missing_destination_is_left_to_planning_while_one_cannot_be_read(root: Path) -> None:
    save(root, "a", text("a", destination="local"))
    assert names(ManifestDirectory(root).observe()) == ["b"]
    save(root, "local", "kind: Destination\n\tbroken")
    assert names(ManifestDirectory(root).observe()) == ["a", "b"]


def test_that_nothing_is_meant_holds_for_the_first_look_only(tmp_path: Path) -> None:
    directory = ManifestDirectory(tmp_path, allow_empty=True)
    assert directory.observe().observed.empty_confirmed
    for name in ("a", "b"):
        save(tmp_path, name)
    directory.observe()
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").unlink()
    assert not directory.observe().observed.empty_confirmed


DESTINATION = "apiVersion: mailcollector/v1\nkind: Destination\nmetadata: {name: %s}\n"
LOCAL = DESTINATION % "local" + "spec: {default: true, maildir: {path: mail}}\n"
OTHER = DESTINATION % "other" + "spec: {maildir: {path: more}}\n"
TEMPLATE = (
    "apiVersion: mailcollector/v1\nkind: Template\nmetadata: {name: usual}\n"
    "spec: {collect: {interval: 7m}}\n"
)


def test_what_is_looked_at_alone_is_as_if_everything_was(root: Path) -> None:
    """A file comes, changes or goes: by itself, of a name or an account that is taken, the last one
    that uses a default Destination or a template."""
    directory = ManifestDirectory(root)
    directory.observe()

    def put(name: str, content: str | None) -> None:
        path = root / f"{name}.yaml"
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        found, fresh = directory.observe(only=[str(path)]), ManifestDirectory(root).observe()
        assert found.diagnostics == fresh.diagnostics
        assert found.observed == fresh.observed
        everything = directory.of_kind("MailCollector")
        assert [one.name for one in everything] == sorted(one.name for one in everything)

    to_other = text("c").replace("spec:", "spec:\n  destination: other", 1)
    from_usual = text("d").replace("spec:", "spec:\n  from: usual", 1)
    for name, content in (
        ("c", text("c").replace("username: u", "username: c")),
        ("c", text("a")),
        ("c", text("c")),
        ("b", None),
        ("local", LOCAL),
        ("other", OTHER),
        ("c", to_other),
        ("a", None),
        ("a", text("a").replace("username: u", "username: a")),
        ("c", None),
        ("usual", TEMPLATE),
        ("d", from_usual),
        ("d", None),
        ("0", text("zero").replace("username: u", "username: zero")),
        ("0", "metadata: {"),
        ("0", None),
    ):
        put(name, content)


def test_a_file_that_went_and_came_back_unseen_is_found_when_it_would_count_as_removed(
    root: Path,
) -> None:
    directory = ManifestDirectory(root, grace=1000)
    directory.observe()
    (root / "a.yaml").rename(root / "away")
    assert names(directory.observe(only=[str(root / "a.yaml")])) == ["b"]
    (root / "away").rename(root / "a.yaml")
    found = directory.observe(only=[])
    assert (names(found), found.observed.leaving) == (["a", "b"], frozenset())
