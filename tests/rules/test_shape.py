"""One noun, one file: sizes, opening docstrings, names."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

import pytest

from tests.rules.sources import Source, classes, functions, sources, verdict

MOST_LINES = 500
LONG_LINES = 400
MOST_FUNCTION_LINES = 60

#: Files of the program over 400 lines, each with the reason why it is still one idea.
LONG = {
    "appliance/assemble.py": "the start-up story, which names every part once",
    "appliance/api/shapes.py": "every type of an answer in one place, as the document lists them",
    "appliance/core/problems.py": "the catalogue is one closed list, and one reading shows what every caller is told",
    "appliance/front/client.py": "a connection's requests, answers and raw bytes share one buffer and one ending",
    "appliance/store/statements.py": "every statement stands in one list, which one test runs on both engines",
    "appliance/tunnel/listener.py": "one connection is one thing, from its handshake to the end of its session",
    "wire/carrier.py": "the HTTP/2 carrier before and after the tunnel opens shares one set of window accounts",
    "wire/connection.py": "what frames do to a session is one set of rules, and both ends are the same class",
    "wire/exchange.py": "an exchange is one Trio stream: its two directions share credit, ending and abortion",
    "wire/frames.py": "the frames are one closed list: layouts, encoding and reading are checked against each other",
    "wire/session.py": "one session's reader, writer and pulse share the state that says whether it lives",
    "wire/tls.py": "reading, writing and the two ways of closing share the state of one TLS connection",
}

NAMELESS = ("Manager", "Service", "Handler", "Helper", "Helpers", "Util", "Utils", "Impl", "Base")
NAMELESS_MODULES = frozenset(word.lower() for word in NAMELESS) | {"managers", "services", "handlers", "common", "misc"}

#: Names that end in such a word because the field's own term does.
FIELD_TERMS: dict[str, str] = {}


def test_every_module_opens_by_saying_what_it_is() -> None:
    verdict(
        [
            source.path
            for source in sources()
            if not (ast.get_docstring(source.tree) or "").strip()
            and not (source.within("tests") and not source.text)  # an empty marker of a test package has nothing to say
        ],
        "A file opens by saying what it is, what always holds and what it does not do; a reader should not have to "
        "infer that from the code.",
    )


def test_no_file_is_longer_than_one_idea() -> None:
    verdict(
        [f"{source.path}: {source.lines} lines" for source in sources() if source.lines > MOST_LINES],
        f"A file over {MOST_LINES} lines holds more than one idea; find the second noun and give it a file.",
    )


def test_a_long_file_has_a_reason() -> None:
    long = {
        source.path: source.lines for source in sources() if source.lines > LONG_LINES and not source.within("tests")
    }
    verdict(
        [f"{path}: {lines} lines" for path, lines in long.items() if path not in LONG],
        f"A file over {LONG_LINES} lines needs a reason: split it, or write the reason into LONG in {__name__}.",
    )
    verdict(
        [path for path in LONG if path not in long],
        f"These are no longer over {LONG_LINES} lines (good): take them off LONG, or the list stops meaning anything.",
    )


def test_no_function_is_longer_than_a_screen() -> None:
    verdict(
        [
            f"{source.path}:{line} {name}: {length} lines"
            for source in sources()
            for name, line, length in functions(source)
            if length > MOST_FUNCTION_LINES
        ],
        f"A function over {MOST_FUNCTION_LINES} lines cannot be seen at once; name its parts.",
    )


LEAST_STATEMENTS = 4  # two short functions that are alike are a coincidence


def bodies(source: Source) -> Iterator[tuple[str, str]]:
    """Yield (what it does, where) of every function that is long enough to be worth one home."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if sum(isinstance(part, ast.stmt) for line in body for part in ast.walk(line)) >= LEAST_STATEMENTS:
                yield ast.dump(ast.Module(body, [])), f"{source.path}:{node.lineno} {node.name}"


def twice(some: Iterable[Source]) -> list[str]:
    places: dict[str, list[str]] = {}
    for source in some:
        for body, place in bodies(source):
            places.setdefault(body, []).append(place)
    return [" and ".join(where) for where in places.values() if len(where) > 1]


def test_nothing_is_written_twice() -> None:
    verdict(
        twice(source for source in sources() if not source.within("tests")),
        "What is written twice is corrected once: give it one home that both may import; daemon/ for programs.",
    )


def test_the_rule_about_twice_sees_an_offence() -> None:
    text = "def f(a):\n    {}\n    b = a\n    if b:\n        return 1\n    return b\n"
    one, other = Source("agent/x.py", text.format('"""One."""')), Source("appliance/x.py", text.format('"""Other."""'))
    assert twice([one, other]) == ["agent/x.py:1 f and appliance/x.py:1 f"]
    assert twice([one, Source("appliance/x.py", text.format("a = 2"))]) == []


def nameless(source: Source) -> Iterator[str]:
    for found in classes(source):
        if found.name.endswith(NAMELESS) and found.name not in FIELD_TERMS:
            yield f"{source.path}:{found.line} class {found.name}"
    word = source.module.rpartition(".")[2].rpartition("_")[2]
    if word in NAMELESS_MODULES:
        yield f"{source.path} is named {word}"


def test_names_say_what_a_thing_is() -> None:
    verdict(
        [fault for source in sources() for fault in nameless(source)],
        "A name made of Manager, Service, Handler, Helper, Util, Impl or Base says that something is there, not what "
        "it is. Use the field's noun or verb: registry, exchange, grant, decide, relay.",
    )


@pytest.mark.parametrize(
    ("path", "text", "offends"),
    [
        ("wire/x.py", "class SessionManager: ...", True),
        ("wire/x.py", "def f():\n    class _Impl: ...", True),
        ("wire/x.py", "class Baseline: ...", False),
        ("wire/x.py", "class Session: ...", False),
        ("wire/utils.py", "", True),
        ("wire/tls_helper.py", "", True),
        ("ops/common/__init__.py", "", True),
        ("wire/session.py", "", False),
    ],
)
def test_the_name_rule_sees_an_offence(path: str, text: str, offends: bool) -> None:
    assert bool(list(nameless(Source(path, text)))) is offends
