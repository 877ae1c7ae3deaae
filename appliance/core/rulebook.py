"""The rules of some roles, arranged so that a thousand of them are asked as fast as one.

Every rule is a line, and a line is one bit of an integer. For each thing that a rule may say (this verb, that group)
one integer holds the lines that say it, so the lines that allow a request are what a few look-ups have in common. The
same answer as asking each rule in turn (`Rule.allows`; a property test says so). A role without rules has one line that
allows everything. Whether a request is inside the scope of a binding is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.core.roles import ANY, Role, Rule
from wire.kube import Ask


class Rulebook:
    """Lines, numbered from 0 in the order of the roles and of their rules."""

    def __init__(self, roles: Iterable[Role]) -> None:
        self.owners: list[int] = []  # by line: the place of its role in `roles`
        self.lines: list[int] = []  # by role: its lines
        self.free = 0  # the lines of roles without rules
        self._verbs: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._resources: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._nameless = 0  # lines that name no single object
        self._paths: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        for place, role in enumerate(roles):
            before = len(self.owners)
            for rule in role.rules:
                self._write(rule, 1 << len(self.owners))
                self.owners.append(place)
            if not role.rules:
                self.free |= 1 << len(self.owners)
                self.owners.append(place)
            self.lines.append((1 << len(self.owners)) - (1 << before))

    @property
    def names(self) -> Iterable[str]:
        """The single objects that some rule names: of all others the name makes no difference."""
        return self._names.keys()

    @property
    def reads_paths(self) -> bool:
        """Whether some rule speaks of non-resource URLs."""
        return bool(self._paths or self._prefixes)

    def allowing(self, ask: Ask) -> int:
        """The lines that allow the request, wherever it is asked."""
        verbs = self._verbs
        lines = verbs.get(ANY, 0) | verbs.get(ask.verb, 0)
        if lines == 0:
            return self.free
        if not ask.is_resource:
            return self.free | lines & self._reaching(ask.path)
        groups, resources = self._groups, self._resources
        lines &= groups.get(ANY, 0) | groups.get(ask.group, 0)
        if ask.subresource:
            full = f"{ask.resource}/{ask.subresource}"
            lines &= resources.get(ANY, 0) | resources.get(full, 0) | resources.get(f"{ANY}/{ask.subresource}", 0)
        else:
            lines &= resources.get(ANY, 0) | resources.get(ask.resource, 0)
        return self.free | lines & (self._nameless | self._names.get(ask.name, 0))

    def _reaching(self, path: str) -> int:
        found = self._paths.get(path, 0)
        for prefix, lines in self._prefixes.items():
            if path.startswith(prefix):
                found |= lines
        return found

    def _write(self, rule: Rule, line: int) -> None:
        _mark(self._verbs, rule.verbs, line)
        _mark(self._groups, rule.api_groups, line)
        _mark(self._resources, rule.resources, line)
        _mark(self._paths, [it for it in rule.non_resource_urls if not it.endswith(ANY)], line)
        _mark(self._prefixes, [it[:-1] for it in rule.non_resource_urls if it.endswith(ANY)], line)
        if rule.resource_names:
            _mark(self._names, [it for it in rule.resource_names if it], line)
        else:
            self._nameless |= line


def ones(bits: int) -> list[int]:
    """The places of the bits that are set, lowest first."""
    digits = bin(bits)[:1:-1]
    found = []
    place = digits.find("1")
    while place >= 0:
        found.append(place)
        place = digits.find("1", place + 1)
    return found


def _mark(index: dict[str, int], said: Iterable[str], line: int) -> None:
    for word in said:
        index[word] = index.get(word, 0) | line
