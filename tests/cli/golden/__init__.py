"""Printed texts as they were approved: a change shows as a difference of these files."""

from __future__ import annotations

from pathlib import Path

from click import unstyle


def golden(name: str, lines: list[str]) -> None:
    """Compare with the approved text; on purpose changed ones are written by hand or copied from
    the failure."""
    approved = (Path(__file__).parent / name).read_text(encoding="utf-8")
    assert [unstyle(line).rstrip() for line in lines] == approved.splitlines()
