"""`constraints.txt` pins everything that the project installs, within what `pyproject.toml` allows,
and `requirements/` says the same with hashes. `make lock ARGS=--check` asks the index, and proves
that the hashes are right and that nothing has to be compiled."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TEXT = (ROOT / "constraints.txt").read_text(encoding="utf-8")
LINES = [line for line in TEXT.splitlines() if not line.startswith("#")]
PINS = {
    canonicalize_name(name): version
    for name, _, version in (line.partition("==") for line in LINES)
}


def of_the_package() -> list[Requirement]:
    return [Requirement(line) for line in PROJECT["project"]["dependencies"]]


def of_extras() -> list[Requirement]:
    return [
        Requirement(line)
        for lines in PROJECT["project"]["optional-dependencies"].values()
        for line in lines
    ]


def of_group(name: str) -> list[Requirement]:
    lines = PROJECT["dependency-groups"][name]
    included = [
        found
        for line in lines
        if isinstance(line, dict)
        for found in of_group(line["include-group"])
    ]
    return [*included, *(Requirement(line) for line in lines if isinstance(line, str))]


def asked_for() -> list[Requirement]:
    return [*of_the_package(), *of_extras(), *of_group("dev")]


def needed(requirements: Iterable[Requirement]) -> set[NormalizedName]:
    """The names of what they install, themselves included."""
    waiting, seen, names = list(requirements), set[str](), set[NormalizedName]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        names.add(name)
        if (key := str(requirement)) in seen:
            continue
        seen.add(key)
        extras = requirement.extras or {""}
        for line in metadata.requires(name) or ():
            found = Requirement(line)
            if found.marker is None or any(
                found.marker.evaluate({"extra": extra}) for extra in extras
            ):
                waiting.append(found)
    return names


def hashed(name: str) -> dict[str, list[str]]:
    """The pins of a file in `requirements/`, each with what stands behind it."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    lines = (
        "".join(line for line in text.splitlines(keepends=True) if "#" not in line)
        .replace("\\\n", "")
        .splitlines()
    )
    return {pin: rest for pin, *rest in map(str.split, lines)}


def test_every_line_is_a_plain_pin() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_the_pins_are_within_what_the_project_allows() -> None:
    for requirement in asked_for():
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), (
            requirement
        )


def test_what_the_requirements_require_is_pinned_too() -> None:
    assert needed(asked_for()) - PINS.keys() == set()


def test_the_group_that_builds_is_what_the_build_requires() -> None:
    assert of_group("build") == [Requirement(line) for line in PROJECT["build-system"]["requires"]]


@pytest.mark.parametrize(
    ("name", "requirements"), [("image.txt", of_the_package()), ("build.txt", of_group("build"))]
)
def test_the_hashed_requirements_are_the_pins(name: str, requirements: list[Requirement]) -> None:
    assert hashed(name).keys() == {
        f"{package}=={PINS[package]}" for package in needed(requirements)
    }


@pytest.mark.parametrize("name", ["image.txt", "build.txt"])
def test_every_hashed_requirement_has_hashes_and_nothing_else(name: str) -> None:
    for pin, rest in hashed(name).items():
        assert rest, pin
        assert [
            word for word in rest if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word)
        ] == [], pin
