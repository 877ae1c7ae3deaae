"""Units of work about when bindings were last used. No change of the configuration: nothing decides by it."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.store import statements
from appliance.store.unit import Unit, run


def keep(uses: Mapping[str, int]) -> Unit[None]:
    """Writes down the latest use of each binding that still exists. An earlier one changes nothing."""
    for binding_id, at in sorted(uses.items()):
        yield run(statements.BINDING_USE_KEEP, binding_id, at)


def between(first: str, last: str) -> Unit[dict[str, int]]:
    """By binding: when it was last used, of those whose ids lie here, both included."""
    return {str(row[0]): int(row[1]) for row in (yield run(statements.BINDING_USES, first, last))}
