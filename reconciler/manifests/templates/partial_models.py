"""The same models with nothing required: what a template says, and what a collector says beside its
template.

Both are only judged by these models. What is run is the two of them merged, and that is a whole
`MailCollector`.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, create_model, model_validator
from pydantic.fields import FieldInfo

from reconciler.model.spec import (
    CollectorSpec,
    CommonSpec,
    Declared,
    Destination,
    MailCollector,
    Metadata,
)

if TYPE_CHECKING:
    pass

Place = tuple[str, ...]
"""Keys from a collector's spec to one of its mappings."""


class Fragment(Declared):
    """Base of the models of which a part may stand alone."""

    at_most_one: ClassVar[tuple[str, ...]] = ()
    """Keys that exclude each other."""
    whole: ClassVar[type[Declared]] = Declared
    """The model that this is a part of."""

    @classmethod
    def exclusive(cls) -> tuple[str, ...]:
        return cls.exactly_one or cls.at_most_one

    @classmethod
    def described_as(cls) -> type[Declared]:
        return cls.whole.described_as()

    @model_validator(mode="before")
    @classmethod
    def _alternatives(cls, data: Any) -> Any:
        if isinstance(data, dict) and sum(key in data for key in cls.at_most_one) > 1:
            raise ValueError(f"at most one of {', '.join(cls.at_most_one)} may stand here")
        return data


@functools.cache
def partial(model: type[Declared], name: str = "", *, without: str = "") -> type[Declared]:
    """`model` with nothing required, at any depth; the model itself where that makes no
    difference."""
    fields = {key: _optional(field) for key, field in model.model_fields.items() if key != without}
    if not name and all(
        fields[key].annotation is field.annotation and not field.is_required()
        for key, field in model.model_fields.items()
    ):
        return model
    # its overloads know no computed fields
    made: type[Fragment] = create_model(  # type: ignore[call-overload]
        name or f"Partial{model.__name__}",
        __base__=Fragment,
        __doc__=model.__doc__,
        __module__=__name__,
        **{key: (field.annotation, field) for key, field in fields.items()},
    )
    made.at_most_one, made.whole = model.exactly_one, model
    return made


def _optional(field: FieldInfo) -> FieldInfo:
    changed = copy.copy(field)
    changed.default, changed.default_factory = None, None
    changed.annotation = _partial_type(field.annotation)
    return changed


def _partial_type(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Declared):
        return partial(annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        parts = [_partial_type(part) for part in get_args(annotation)]
        if any(
            part is not before for part, before in zip(parts, get_args(annotation), strict=True)
        ):
            return Union[tuple(parts)]  # noqa: UP007  # computed
    return annotation


def mappings(
    model: type[Declared] = CollectorSpec, above: Place = ()
) -> Iterator[tuple[Place, type[Declared]]]:
    """A model's place, and those of all models below it."""
    yield above, model
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, Declared):
                yield from mappings(part, (*above, str(field.alias)))


@functools.cache
def template_spec() -> type[Declared]:
    """The spec of a Template."""
    made = partial(CommonSpec, "TemplateSpec", without="from_")
    made.__doc__ = (
        "What many collectors have in common: any of the fields of a MailCollector's spec."
    )
    return made


@functools.cache
def derived_spec() -> type[Declared]:
    """The spec of a MailCollector that names a template."""
    made = partial(CollectorSpec, "DerivedSpec")
    made.__doc__ = "What a collector says beside its template: its own fields win."
    return made


def model_of(manifest: Any) -> type[Declared] | None:
    """What judges a manifest as it stands in a file; None where its kind is none."""
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if not isinstance(kind, str):
        return None
    spec = manifest.get("spec")
    if kind == "MailCollector" and isinstance(spec, dict) and "from" in spec:
        return _document(kind, derived_spec)
    return _document(kind, template_spec) if kind == "Template" else _WHOLE.get(kind)


_WHOLE: Mapping[str, type[Declared]] = {"MailCollector": MailCollector, "Destination": Destination}


@functools.cache
def _document(kind: str, spec: Callable[[], type[BaseModel]]) -> type[Declared]:
    """Made where one is used: what needs none starts sooner."""
    fields: dict[str, Any] = {
        "api_version": (Literal["mailcollector/v1"], ...),
        "kind": (Literal[kind], ...),
        "metadata": (Metadata, ...),
        "spec": (spec(), ...),
    }
    return create_model(kind, __base__=Fragment, **fields)
