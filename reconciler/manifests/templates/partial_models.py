"""Models without required fields, for templates and for collectors that use a template.

They only serve to check these manifests. The merged manifest is a complete `MailCollector`.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, create_model, model_validator
from pydantic.fields import FieldInfo

from reconciler.model.spec import (
    CollectorSpec,
    CommonSpec,
    Destination,
    MailCollector,
    ManifestModel,
    Metadata,
)

Place = tuple[str, ...]
"""The path of keys from a collector's spec to one of its mappings."""


class Fragment(ManifestModel):
    """The base of models without required fields."""

    at_most_one: ClassVar[tuple[str, ...]] = ()
    """Keys that exclude each other."""
    whole: ClassVar[type[ManifestModel]] = ManifestModel
    """The complete model."""

    @classmethod
    def exclusive(cls) -> tuple[str, ...]:
        return cls.exactly_one or cls.at_most_one

    @classmethod
    def described_as(cls) -> type[ManifestModel]:
        return cls.whole.described_as()

    @model_validator(mode="before")
    @classmethod
    def _alternatives(cls, data: Any) -> Any:
        if isinstance(data, dict) and sum(key in data for key in cls.at_most_one) > 1:
            raise ValueError(f"at most one of {', '.join(cls.at_most_one)} may stand here")
        return data


@functools.cache
def partial(
    model: type[ManifestModel], name: str = "", *, without: str = ""
) -> type[ManifestModel]:
    """Return `model` without required fields at any depth, or `model` itself if it has none.

    `without` is a field to leave out.
    """
    fields = {key: _optional(field) for key, field in model.model_fields.items() if key != without}
    if not name and all(
        fields[key].annotation is field.annotation and not field.is_required()
        for key, field in model.model_fields.items()
    ):
        return model
    # The overloads of create_model do not know computed fields.
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
    if isinstance(annotation, type) and issubclass(annotation, ManifestModel):
        return partial(annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        parts = [_partial_type(part) for part in get_args(annotation)]
        if any(
            part is not before for part, before in zip(parts, get_args(annotation), strict=True)
        ):
            return Union[tuple(parts)]  # noqa: UP007  # computed
    return annotation


def mappings(
    model: type[ManifestModel] = CollectorSpec, above: Place = ()
) -> Iterator[tuple[Place, type[ManifestModel]]]:
    """Yield a model and all models below it, each with its place."""
    yield above, model
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, ManifestModel):
                yield from mappings(part, (*above, str(field.alias)))


@functools.cache
def template_spec() -> type[ManifestModel]:
    """Return the model of a Template's spec."""
    made = partial(CommonSpec, "TemplateSpec", without="from_")
    made.__doc__ = (
        "What many collectors have in common: any of the fields of a MailCollector's spec."
    )
    return made


@functools.cache
def derived_spec() -> type[ManifestModel]:
    """Return the model of the spec of a MailCollector that names a template."""
    made = partial(CollectorSpec, "DerivedSpec")
    made.__doc__ = "What a collector says beside its template: its own fields win."
    return made


def model_of(manifest: Any) -> type[ManifestModel] | None:
    """Return the model for a manifest of a file, or None if its kind is unknown."""
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if not isinstance(kind, str):
        return None
    spec = manifest.get("spec")
    if kind == "MailCollector" and isinstance(spec, dict) and "from" in spec:
        return _document(kind, derived_spec)
    return _document(kind, template_spec) if kind == "Template" else _WHOLE.get(kind)


_WHOLE: Mapping[str, type[ManifestModel]] = {
    "MailCollector": MailCollector,
    "Destination": Destination,
}


@functools.cache
def _document(kind: str, spec: Callable[[], type[BaseModel]]) -> type[ManifestModel]:
    """Return the model of a whole manifest. It is defined at its first use, which keeps the start
    fast."""
    fields: dict[str, Any] = {
        "api_version": (Literal["mailcollector/v1"], ...),
        "kind": (Literal[kind], ...),
        "metadata": (Metadata, ...),
        "spec": (spec(), ...),
    }
    return create_model(kind, __base__=Fragment, **fields)
