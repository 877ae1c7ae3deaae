"""Settings of a program: a TOML file, environment variables over it, and one table that says what there is.

What always holds: an unknown key, a missing required one, a value of the wrong form or a file that others can change
stops the start with one sentence that names the key; no secret is a setting, so those sentences hold none. What the
settings mean, and what spans several of them, is the program's own.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MAX_CONFIG_BYTES: Final = 256 * 1024  # a settings file is a page of text; more is the wrong file

Given = dict[str, tuple[Any, str]]
"""For each key what was given, and where."""


class ConfigError(Exception):
    """The settings do not allow a start; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its key, how a value is read (ValueError: a phrase after "must be"), its default, its meaning.

    `example`: of a setting that has no default and must be given.
    """

    key: str
    read: Callable[[Any], Any]
    default: Any
    meaning: str
    example: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one program. `foreign`: variables that share the prefix and are none of its settings."""

    program: str
    prefix: str
    foreign: re.Pattern[str]
    entries: tuple[Setting, ...]

    def variable(self, key: str) -> str:
        """The environment variable that overrides a setting."""
        return self.prefix + key.replace(".", "_").upper()

    def load(self, path: Path | None, environment: Mapping[str, str]) -> dict[str, Any]:
        """A value for each key. ConfigError says what is wrong."""
        given = self._from_file(path) if path is not None else {}
        given.update(self._from_environment(environment))
        return {setting.key: self._value(setting, given) for setting in self.entries}

    def reference(self) -> str:
        """The settings as text for people."""
        lines = []
        for it in self.entries:
            default = "required" if it.example else f"default {it.default}" if it.default else "optional"
            lines.append(f"{it.key}  ({self.variable(it.key)}; {default})\n    {it.meaning}")
        return "\n".join(lines)

    def _value(self, setting: Setting, given: Given) -> Any:
        if setting.key in given:
            raw, origin = given[setting.key]
            try:
                return setting.read(raw)
            except ValueError as error:
                raise ConfigError(f"{origin}: {setting.key} must be {error}.") from None
        if setting.example:
            raise ConfigError(
                f"{setting.key} is not set: put it into the settings file or into {self.variable(setting.key)}, for "
                f'example {setting.key} = "{setting.example}".'
            )
        return setting.default

    def _from_file(self, path: Path) -> Given:
        known = {setting.key for setting in self.entries}
        tables = {key.partition(".")[0] for key in known if "." in key}
        found: Given = {}
        for name, value in _parsed(path).items():
            leaves = {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
            if isinstance(value, dict) and name not in tables:
                raise ConfigError(f"{path}: there is no section [{name}].")
            for key, leaf in leaves.items():
                if key not in known:
                    raise ConfigError(f"{path}: there is no setting {key}.")
                found[key] = (leaf, str(path))
        return found

    def _from_environment(self, environment: Mapping[str, str]) -> Given:
        by_variable = {self.variable(setting.key): setting.key for setting in self.entries}
        found: Given = {}
        for name, value in environment.items():
            if name in by_variable:
                found[by_variable[name]] = (value, name)
            elif name.startswith(self.prefix) and not self.foreign.match(name):
                raise ConfigError(f"The environment variable {name} is not a setting of {self.program}.")
        return found


def refuse_weak_mode(path: Path, forbidden: int, key: str, remedy: str) -> None:
    """Stop the start when a file or directory is open to more than its owner needs."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{key} {path} cannot be read: {error.strerror}.") from None
    if mode & forbidden:
        raise ConfigError(f"{key} {path} has mode {stat.S_IMODE(mode):04o}, open to others: run `{remedy} {path}`.")


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"The settings file {path} can be changed by others: run `chmod go-w {path}`.")
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError(f"The settings file {path} is larger than {MAX_CONFIG_BYTES // 1024} KiB.")
    try:
        return tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {path} is not TOML: {error}.") from None
