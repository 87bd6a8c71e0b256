"""Which places a path depends on."""

from __future__ import annotations

from pathlib import Path

from reconciler.control.watched_paths import entries_on_way


def test_the_end_each_link_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "one" / "deep").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "link").symlink_to("../one/../first")
    (tmp_path / "first").symlink_to(tmp_path / "one")

    assert list(entries_on_way(tmp_path / "one" / "deep")) == [tmp_path / "one" / "deep"]
    assert list(entries_on_way(tmp_path / "two" / "link" / "deep" / "x.yaml")) == [
        tmp_path / "two" / "link",
        tmp_path / "first",
        tmp_path / "one" / "deep" / "x.yaml",
    ]
    assert list(entries_on_way(tmp_path / "two" / "link")) == [
        tmp_path / "two" / "link",
        tmp_path / "first",
        tmp_path / "one",
    ]
    assert list(entries_on_way(tmp_path / "absent" / "deep" / "x")) == [tmp_path / "absent"]


def test_Y11_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert set(entries_on_way(tmp_path / "a" / "x")) == {tmp_path / "a", tmp_path / "b"}
