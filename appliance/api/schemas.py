"""JSON Schema (2020-12) of the types that answers are made of. Pure.

A TypedDict becomes a component with a name; members it does not declare are refused.
"""

from __future__ import annotations

import types
from enum import StrEnum
from typing import Annotated, Any, Final, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

COMPONENTS: Final = "#/components/schemas/"
_PLAIN: Final = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(of: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; the named ones it is made of are added to `components`."""
    if is_typeddict(of):
        if of.__name__ not in components:
            components[of.__name__] = {}  # it may hold itself
            components[of.__name__] = _object(of, components)
        return {"$ref": COMPONENTS + of.__name__}
    if of is Any:
        return {}
    if isinstance(of, type) and issubclass(of, StrEnum):
        return {"type": "string", "enum": [str(it) for it in of]}
    if of in _PLAIN:
        return {"type": _PLAIN[of]}
    return _composed(of, components)


def _composed(of: Any, components: dict[str, Any]) -> dict[str, Any]:
    arguments = get_args(of)
    if get_origin(of) is Annotated:
        return {**schema(arguments[0], components), **dict(arguments[1:])}
    if get_origin(of) is list:
        return {"type": "array", "items": schema(arguments[0], components)}
    if get_origin(of) is dict:
        return {"type": "object", "additionalProperties": schema(arguments[1], components)}
    if get_origin(of) in {Union, types.UnionType} and types.NoneType in arguments:
        (some,) = (it for it in arguments if it is not types.NoneType)
        return {"anyOf": [schema(some, components), {"type": "null"}]}
    raise TypeError(f"There is no schema for {of!r}.")


def _object(of: Any, components: dict[str, Any]) -> dict[str, Any]:
    members = get_type_hints(of, include_extras=True)
    made: dict[str, Any] = {
        "type": "object",
        "properties": {name: schema(_bare(it), components) for name, it in members.items()},
        "required": sorted(name for name, it in members.items() if get_origin(it) is not NotRequired),
        "additionalProperties": False,
    }
    if of.__doc__ and not of.__doc__.startswith("dict("):
        made["description"] = " ".join(of.__doc__.split())
    return made


def _bare(of: Any) -> Any:
    """Without the mark that it may be left out, which is read elsewhere."""
    return get_args(of)[0] if get_origin(of) is NotRequired else of
