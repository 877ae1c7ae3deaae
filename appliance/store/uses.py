"""Units of work about when bindings were last used. No change of the configuration: nothing decides by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.store import statements
from appliance.store.unit import Unit, run


def keep(uses: Mapping[str, int]) -> Unit[None]:
    """Writes down the latest use of each binding that still exists. An earlier one changes nothing."""
    for binding_id, at in sorted(uses.items()):
        yield run(statements.BINDING_USE_KEEP, binding_id, at)


def latest(binding_ids: Sequence[str]) -> Unit[dict[str, int]]:
    """When each of these was last used; what never was is left out. What lies between them is not read."""
    found: dict[str, int] = {}
    for start in range(0, len(binding_ids), statements.USES_AT_ONCE):
        some = binding_ids[start : start + statements.USES_AT_ONCE]
        padded = [*some, *([some[-1]] * (statements.USES_AT_ONCE - len(some)))]
        found.update({str(row[0]): int(row[1]) for row in (yield run(statements.BINDING_USES, *padded))})
    return found
