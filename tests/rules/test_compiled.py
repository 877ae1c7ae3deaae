"""What mypyc would compile into something else than it reads: found here, because the types do not show it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rules.sources import Source, verdict

ROOT = Path(__file__).parents[2]


def compiled() -> list[str]:
    """The paths in setup.py's COMPILED."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED":
            return [str(path) for path in ast.literal_eval(node.value)]
    raise AssertionError("setup.py lists what is compiled")


def reused_names(source: Source) -> Iterator[str]:
    """Yield each name that two `except` clauses of one function bind to different types."""
    for function in ast.walk(source.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            kinds: dict[str, set[str]] = {}
            for clause in ast.walk(function):
                if isinstance(clause, ast.ExceptHandler) and clause.name and clause.type is not None:
                    kinds.setdefault(clause.name, set()).add(ast.unparse(clause.type))
            for name, found in kinds.items():
                if len(found) > 1:
                    yield f"{source.path} {function.name}: `{name}` is {' and '.join(sorted(found))}"


def test_what_is_compiled_exists_and_is_listed_once() -> None:
    paths = compiled()
    verdict([path for path in paths if not (ROOT / path).is_file()], "setup.py compiles what there is.")
    assert len(paths) == len(set(paths))


def test_an_exception_has_one_name_of_its_own() -> None:
    verdict(
        [found for path in compiled() for found in reused_names(Source(path, (ROOT / path).read_text()))],
        "mypyc gives a name the type of its first `except` clause: the second one then raises TypeError instead of "
        "handling its exception. Use another name.",
    )


def test_no_except_star() -> None:
    verdict(
        [
            path
            for path in compiled()
            if any(isinstance(node, ast.TryStar) for node in ast.walk(ast.parse((ROOT / path).read_text())))
        ],
        "mypyc has no `except*`: catch BaseExceptionGroup, `split` it, and raise the rest.",
    )


@pytest.mark.parametrize(
    ("text", "offends"),
    [
        ("def f():\n try: x()\n except A as e: y()\n except B as e: z()", True),
        ("def f():\n try: x()\n except A as e: y()\n except B as g: z()", False),
        ("def f():\n try: x()\n except A as e: y()\ndef h():\n try: x()\n except B as e: z()", False),
    ],
)
def test_the_name_rule_sees_an_offence(text: str, offends: bool) -> None:
    assert bool(list(reused_names(Source("wire/x.py", text)))) is offends
