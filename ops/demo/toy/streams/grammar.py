"""The words and operators of a small shell: text in, a list of pipelines out.

Known: quotes (single, double, backslash), $NAME, ${NAME}, $?, $$, $#, $1 and $@, comments, ; & newline, && || | and !,
redirections < > >> 2> 2>&1. Everything else a shell can do (loops, functions, substitution, globs, here-documents,
background jobs) is refused by name, never misread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: A script longer than this is not typed by a person; kubectl's own are one line.
MAX_SCRIPT_CHARACTERS: Final = 64 * 1024

_OPERATORS = ("&&", "||", ">>", ">&", "<<", ";;", "|", ";", "<", ">", "&", "(", ")", "\n")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*|[?$#@*]|\d+)\}|([A-Za-z_]\w*|[?$#@*]|\d))")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=")
_RESERVED = frozenset(
    {"if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "function", "{", "}"}
)


class ShellSyntaxError(Exception):
    """The text is not a script of this shell; the sentence says what stands in the way."""


class UnfinishedError(ShellSyntaxError):
    """The text may become a script when more of it comes: an open quote, a line that ends in && or |."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a word: literal text, or the name of a variable."""

    text: str
    quoted: bool
    variable: bool = False


Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    """`descriptor` goes to, or comes from, the file (or with ">&" the descriptor) named by `target`."""

    descriptor: int
    kind: str
    target: Word


@dataclass(frozen=True, slots=True)
class Simple:
    """A command: what is set for it, its words, where its streams go."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A pipeline and what joins it to the one before: ";" always, "&&" after success, "||" after failure."""

    joined_by: str
    commands: tuple[Simple, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class _Operator:
    text: str


_Token = Word | _Operator


def parse(script: str) -> tuple[Step, ...]:
    if len(script) > MAX_SCRIPT_CHARACTERS:
        raise ShellSyntaxError("the script is too long")
    tokens = _tokens(script)
    steps: list[Step] = []
    joined_by = ";"
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if isinstance(token, _Operator) and token.text in {";", "\n"}:
            if token.text == ";" and (joined_by != ";" or at == 0 or _is(tokens[at - 1], ";")):
                raise ShellSyntaxError('syntax error: unexpected ";"')
            at += 1
            continue
        step, at = _pipeline(tokens, at, joined_by)
        steps.append(step)
        joined_by = ";"
        if at < len(tokens) and isinstance(after := tokens[at], _Operator) and after.text in {"&&", "||"}:
            joined_by = after.text
            at += 1
    if joined_by != ";":
        raise UnfinishedError(f"syntax error: nothing after {joined_by}")
    return tuple(steps)


def _pipeline(tokens: list[_Token], at: int, joined_by: str) -> tuple[Step, int]:
    negated = False
    if isinstance(first := tokens[at], tuple) and first == (Part("!", quoted=False),):
        negated = True
        at += 1
    commands: list[Simple] = []
    while True:
        command, at = _simple(tokens, at)
        commands.append(command)
        if at >= len(tokens) or not _is(tokens[at], "|"):
            return Step(joined_by, tuple(commands), negated), at
        at += 1
        while at < len(tokens) and _is(tokens[at], "\n"):
            at += 1
        if at >= len(tokens):
            raise UnfinishedError("syntax error: nothing after |")


def _simple(tokens: list[_Token], at: int) -> tuple[Simple, int]:
    assignments: list[tuple[str, Word]] = []
    words: list[Word] = []
    redirects: list[Redirect] = []
    while at < len(tokens):
        token = tokens[at]
        if isinstance(token, _Operator):
            if token.text not in {"<", ">", ">>", ">&"}:
                break
            redirect, at = _redirect(tokens, at, 0 if token.text == "<" else 1)
            redirects.append(redirect)
            continue
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if _is_descriptor(token) and isinstance(following, _Operator) and following.text in {"<", ">", ">>", ">&"}:
            redirect, at = _redirect(tokens, at + 1, int(token[0].text[1:]))
            redirects.append(redirect)
            continue
        assignment = None if words or token[0].quoted else _ASSIGNMENT.match(token[0].text)
        if assignment is not None and not token[0].variable:
            rest = Part(token[0].text[assignment.end() :], quoted=True)
            assignments.append((assignment[1], (rest, *token[1:])))
        else:
            if not words and token[0].text in _RESERVED and not token[0].quoted and len(token) == 1:
                raise ShellSyntaxError(f'syntax error: this shell has no "{token[0].text}"')
            words.append(token)
        at += 1
    after = tokens[at] if at < len(tokens) else None
    if not (assignments or words or redirects):
        shown = after.text if isinstance(after, _Operator) else "end of text"
        raise ShellSyntaxError(f'syntax error: unexpected "{shown}"'.replace("\n", "newline"))
    if isinstance(after, _Operator) and after.text in {"&", "(", ")", "<<", ";;"}:
        raise ShellSyntaxError(f'syntax error: this shell has no "{after.text}"')
    return Simple(tuple(assignments), tuple(words), tuple(redirects)), at


def _redirect(tokens: list[_Token], at: int, descriptor: int) -> tuple[Redirect, int]:
    operator = tokens[at]
    target = tokens[at + 1] if at + 1 < len(tokens) else None
    if not isinstance(operator, _Operator) or not isinstance(target, tuple):
        raise ShellSyntaxError("syntax error: a redirection without a target")
    return Redirect(descriptor, operator.text, target), at + 2


def _is(token: _Token, operator: str) -> bool:
    return isinstance(token, _Operator) and token.text == operator


def _is_descriptor(token: Word) -> bool:
    """A digit right before < or >, which the lexer marks with a NUL that no argument can hold."""
    return len(token) == 1 and token[0].text.startswith("\0")


def _tokens(script: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(script):
        character = script[at]
        if character in " \t\r":
            at += 1
        elif character == "#":
            end = script.find("\n", at)
            at = len(script) if end < 0 else end
        elif script.startswith("\\\n", at):
            at += 2
        elif operator := next((one for one in _OPERATORS if script.startswith(one, at)), None):
            tokens.append(_Operator(operator))
            at += len(operator)
        else:
            word, end = _word(script, at)
            if script[at:end] in {"0", "1", "2"} and script[end : end + 1] in {"<", ">"}:
                word = (Part("\0" + script[at:end], quoted=False),)
            tokens.append(word)
            at = end
    return tokens


def _word(script: str, at: int) -> tuple[Word, int]:
    parts: list[Part] = []
    while at < len(script):
        character = script[at]
        if character in " \t\r\n;&|<>()":
            break
        if character == "'":
            end = script.find("'", at + 1)
            if end < 0:
                raise UnfinishedError("syntax error: unterminated quoted string")
            parts.append(Part(script[at + 1 : end], quoted=True))
            at = end + 1
        elif character == '"':
            inside, at = _double_quoted(script, at + 1)
            parts.extend(inside)
        elif character == "\\":
            if at + 1 >= len(script):
                raise UnfinishedError("syntax error: a backslash at the end")
            if script[at + 1] != "\n":
                parts.append(Part(script[at + 1], quoted=True))
            at += 2
        else:
            part, at = _plain(script, at, quoted=False)
            parts.append(part)
    return tuple(parts) or (Part("", quoted=False),), at


def _double_quoted(script: str, at: int) -> tuple[list[Part], int]:
    parts = [Part("", quoted=True)]
    while at < len(script):
        character = script[at]
        if character == '"':
            return parts, at + 1
        if character == "\\" and script[at + 1 : at + 2] in {'"', "\\", "$", "`", "\n"}:
            parts.append(Part(script[at + 1].replace("\n", ""), quoted=True))
            at += 2
        else:
            part, at = _plain(script, at, quoted=True)
            parts.append(part)
    raise UnfinishedError("syntax error: unterminated quoted string")


def _plain(script: str, at: int, *, quoted: bool) -> tuple[Part, int]:
    """A run of ordinary characters, or one variable."""
    if script[at] == "`" or script.startswith("$(", at):
        raise ShellSyntaxError("syntax error: this shell has no command substitution")
    if script[at] == "$":
        if name := _VARIABLE.match(script, at):
            return Part(name[1] or name[2], quoted, variable=True), name.end()
        if script.startswith("${", at):
            raise ShellSyntaxError("syntax error: bad substitution")
        return Part("$", quoted), at + 1
    stop = '"\\$`' if quoted else " \t\r\n;&|<>()'\"\\$`"
    end = at + 1
    while end < len(script) and script[end] not in stop:
        end += 1
    return Part(script[at:end], quoted), end
