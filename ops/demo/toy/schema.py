"""Reads `schema_text` into types that can be walked along an object.

The walk answers one question for patches and apply: is this field a map, a list replaced as a whole, a set, or a list
whose items have keys? A field that is not in the schema is treated as a plain value: maps merge, lists are replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ops.demo.toy.resources import Resource
from ops.demo.toy.schema_text import TEXTS

PACKAGES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "core": "io.k8s.api.core.v1",
    "apps": "io.k8s.api.apps.v1",
}
"""Where a type lives, in the names that clients look for in OpenAPI documents."""

_FIELD = re.compile(r"  (?P<name>[a-zA-Z0-9]+)(?P<flag>[!~]?) (?P<type>\[[^\]]*\]|\{[^}]*\}|\S+) (?P<text>.+)")
_TYPE = re.compile(r"(?P<name>[A-Za-z0-9]+) = (?P<package>[a-z]+): (?P<text>.+)")


@dataclass(frozen=True, slots=True)
class Shape:
    """The type of one value."""

    form: str  # "scalar", "object", "map", "list" (atomic), "set" or "keyed"
    of: str  # scalar or type name: of the value itself, or of the items
    keys: tuple[str, ...] = ()  # what tells items of a keyed list apart
    retains: bool = False  # patches name the fields that stay ($retainKeys)

    def item(self) -> Shape:
        """The shape of a map's values or a list's items."""
        return _named(self.of)

    def child(self, name: str) -> Shape:
        """The shape of the field `name` of an object or map."""
        if self.form == "map":
            return self.item()
        if self.form == "object" and self.of in TYPES:
            known = TYPES[self.of].fields.get(name)
            return known.shape if known is not None else ANY
        return ANY


@dataclass(frozen=True, slots=True)
class Field:
    shape: Shape
    text: str
    required: bool


@dataclass(frozen=True, slots=True)
class Type:
    """An object type with its fields."""

    name: str
    package: str
    text: str
    fields: dict[str, Field] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{PACKAGES[self.package]}.{self.name}"


SCALARS = frozenset({"string", "int", "long", "bool", "time", "bytes", "quantity", "intstr", "any"})
ANY = Shape("scalar", "any")


def _named(name: str) -> Shape:
    return Shape("scalar", name) if name in SCALARS else Shape("object", name)


def _shape(text: str, *, retains: bool) -> Shape:
    if text.startswith("{"):
        return Shape("map", text[1:-1], (), retains)
    if text.startswith("["):
        of, _, how = text[1:-1].partition(" ")
        if how == "set":
            return Shape("set", of, (), retains)
        if how.startswith("by "):
            return Shape("keyed", of, tuple(how[3:].split(",")), retains)
        return Shape("list", of, (), retains)
    plain = _named(text)
    return Shape(plain.form, plain.of, (), retains)


def _read() -> dict[str, Type]:
    types: dict[str, Type] = {}
    here: Type | None = None
    for line in "".join(TEXTS).splitlines():
        if not line:
            continue
        if (opening := _TYPE.fullmatch(line)) is not None:
            here = types[opening["name"]] = Type(opening["name"], opening["package"], opening["text"])
            continue
        entry = _FIELD.fullmatch(line)
        if entry is None or here is None:
            raise ValueError(f"schema_text has a line that is neither a type nor a field: {line!r}")
        shape = _shape(entry["type"], retains=entry["flag"] == "~")
        here.fields[entry["name"]] = Field(shape, entry["text"], entry["flag"] == "!")
    for known in types.values():
        if {"metadata", "name"} & known.fields.keys() == {"metadata"} and known.name != "PodTemplateSpec":
            known.fields["apiVersion"] = Field(Shape("scalar", "string"), "Group and version of the kind.", False)
            known.fields["kind"] = Field(Shape("scalar", "string"), "What kind of object it is.", False)
    return types


TYPES = _read()


def shape_of(resource: Resource) -> Shape:
    """The shape of a kind's objects; kinds without a schema are plain values."""
    return Shape("object", resource.kind) if resource.kind in TYPES else ANY
