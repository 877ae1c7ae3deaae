"""The sources under rule, parsed once, and what the rules ask of them: imports, dotted names, sizes.

Everything here works on text, so that each rule can be shown a small offence as well as the whole tree.
"""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("wire", "daemon", "agent", "appliance", "ops", "benchmarks", "tests")
OURS = frozenset(PACKAGES)


@dataclass(frozen=True)
class Source:
    """One Python file: its path below the root, with slashes, and its text."""

    path: str
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def within(self, *places: str) -> bool:
        """Tell whether the file is one of these, or in one of these folders."""
        return any(self.path == place or self.path.startswith(place + "/") for place in places)


@functools.cache
def sources() -> tuple[Source, ...]:
    """Every Python file of ours."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths)


@functools.cache
def tracked_texts() -> tuple[Source, ...]:
    """Every text that is or would be committed; of an unpacked archive, which has no index, the Python files."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        return sources()
    found = []
    for name in sorted(set(listed.stdout.decode().split("\0")) - {""}):
        try:
            found.append(Source(name, (ROOT / name).read_text("utf-8")))
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return tuple(found)


@dataclass(frozen=True)
class Mention:
    """A dotted name and the line on which it stands."""

    name: str
    line: int


def imports(source: Source) -> Iterator[Mention]:
    """Yield each import as the longest dotted name it may load: `from a import b` is `a.b`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Mention(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = source.module.split(".")
                keep = len(parts) - node.level + source.path.endswith("/__init__.py")
                base = ".".join([*parts[:keep], base]).strip(".")
            for alias in node.names:
                yield Mention(f"{base}.{alias.name}", node.lineno)


def uses(source: Source) -> Iterator[Mention]:
    """Yield every dotted name that is loaded from an import: `from time import sleep` makes `sleep` a `time.sleep`.

    A bare name that no import binds is yielded as `builtins.name`; what hangs on a local variable is not seen.
    """
    known: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(source.tree):
        name = _dotted(node)
        if name:
            head, _, tail = name.partition(".")
            if head in known:
                yield Mention(f"{known[head]}.{tail}" if tail else known[head], getattr(node, "lineno", 0))
            elif not tail:
                yield Mention(f"builtins.{head}", getattr(node, "lineno", 0))


def functions(source: Source) -> Iterator[tuple[str, int, int]]:
    """Yield (name, line, length) of every function, from `def` to its last line."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def classes(source: Source) -> Iterator[Mention]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            yield Mention(node.name, node.lineno)


def verdict(offences: Iterable[str], why: str) -> None:
    """Fail with the reason first and each offence under it."""
    found = list(offences)
    assert not found, "\n".join([f"{why}", *(f"  {offence}" for offence in found)])


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        left = _dotted(node.value)
        return f"{left}.{node.attr}" if left else None
    return None
