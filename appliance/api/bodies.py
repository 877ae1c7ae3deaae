"""Request bodies of the admin API: read strictly, or refused with the name of the field at fault.

A body is one JSON object. What always holds: a field nobody asked for is refused, since a misspelt limit that is
silently ignored is worse than an error; so are a key given twice, a number where a text belongs, and NaN. The checks
here are of form alone; whether a name is taken or a role exists is for the core and the store to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar

MAX_BODY_BYTES: Final = 64 * 1024  # the largest honest body is a role with some hundred rules
MAX_TEXT_CHARS: Final = 256  # names, subjects, e-mail addresses
MAX_ITEMS: Final = 256  # entries of one list or map

# A DNS label: it stands in URLs and kubeconfig contexts, and nobody has to quote it.
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class BodyError(ValueError):
    """The body is refused; `field` is the path of what is wrong in it ("" for the body as a whole)."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Reader(Generic[T_co]):
    """How a value is read, and what the API's document says of it (JSON Schema 2020-12): one declaration for both.

    What cannot be said in a schema, reading refuses all the same.
    """

    read: Callable[[str, Any], T_co]
    schema: Mapping[str, Any]

    def __call__(self, where: str, value: Any) -> T_co:
        """The value; `where` is the path under which a BodyError names it."""
        return self.read(where, value)


def reads(schema: Mapping[str, Any] | Reader[Any], **more: Any) -> Callable[[Callable[[str, Any], T]], Reader[T]]:
    """Makes a function a reader, with this schema or that of another reader, and what is different in it."""
    whole = {**(schema.schema if isinstance(schema, Reader) else schema), **more}
    return lambda read: Reader(read, whole)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: how its value is read, and what stands for it when it is absent (required: nothing does).

    `about`: what a reader of the document does not see from its name.
    """

    name: str
    read: Reader[Any]
    required: bool = True
    default: Any = None
    about: str = ""


def parse(raw: bytes, fields: Iterable[Field]) -> dict[str, Any]:
    """The body's fields, every one checked."""
    try:
        document = json.loads(raw, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except BodyError:
        raise
    except (ValueError, RecursionError):
        raise BodyError("", "The body is not JSON.") from None
    if not isinstance(document, dict):
        raise BodyError("", "The body must be a JSON object.")
    return obj(fields)("", document)


def obj(fields: Iterable[Field]) -> Reader[dict[str, Any]]:
    """An object with exactly these fields."""
    known = {field.name: field for field in fields}

    @reads(object_schema(known.values()))
    def read(where: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BodyError(where, f"{where} must be an object.")
        for name in value:
            if name not in known:
                expected = ", ".join(known) or "none"
                raise BodyError(
                    _join(where, str(name)[:64]), f"There is no such field here; the fields are: {expected}."
                )
        found: dict[str, Any] = {}
        for name, field in known.items():
            path = _join(where, name)
            if name in value:
                found[name] = field.read(path, value[name])
            elif field.required:
                raise BodyError(path, f"{path} is required.")
            else:
                found[name] = field.default
        return found

    return read


def object_schema(fields: Iterable[Field]) -> Mapping[str, Any]:
    """What the document says of an object with exactly these fields."""
    known = tuple(fields)
    shown = {
        "type": "object",
        "properties": {it.name: {**it.read.schema, **({"description": it.about} if it.about else {})} for it in known},
        "additionalProperties": False,
    }
    needed = [it.name for it in known if it.required]
    return {**shown, "required": needed} if needed else shown


@reads({"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARS})
def text(where: str, value: Any) -> str:
    """A text for people and for logs: not empty, no control characters, bounded."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT_CHARS or not value.isprintable():
        raise BodyError(
            where, f"{where} must be a text of 1 to {MAX_TEXT_CHARS} characters without control characters."
        )
    return value


@reads({"type": "string", "minLength": 1, "maxLength": 63, "pattern": f"^{NAME.pattern}$"})
def name(where: str, value: Any) -> str:
    """A name that stands in a URL."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise BodyError(where, f"{where} must be 1 to 63 of a-z, 0-9 and '-', starting and ending with a-z or 0-9.")
    return value


@reads({"type": "boolean"})
def boolean(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BodyError(where, f"{where} must be true or false.")
    return value


def whole(lowest: int, highest: int) -> Reader[int]:
    @reads({"type": "integer", "minimum": lowest, "maximum": highest})
    def read(where: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise BodyError(where, f"{where} must be a whole number from {lowest} to {highest}.")
        return value

    return read


def listed(item: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list, as a tuple."""

    @reads({"type": "array", "items": item.schema, "maxItems": MAX_ITEMS})
    def read(where: str, value: Any) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise BodyError(where, f"{where} must be a list of at most {MAX_ITEMS} entries.")
        return tuple(item(f"{where}[{index}]", entry) for index, entry in enumerate(value))

    return read


@reads({"type": "object", "additionalProperties": text.schema, "maxProperties": MAX_ITEMS})
def labels(where: str, value: Any) -> Mapping[str, str]:
    """Texts by name."""
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        raise BodyError(where, f"{where} must be an object of at most {MAX_ITEMS} texts.")
    return {text(where, key): text(_join(where, key), entry) for key, entry in value.items()}


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, _ in pairs if sum(1 for other, _ in pairs if other == key) > 1)
        raise BodyError(str(twice)[:64], "A field stands twice in the same object.")
    return found


def _no_constant(_text: str) -> NoReturn:
    raise BodyError("", "NaN and Infinity are not JSON.")
