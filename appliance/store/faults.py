"""How the store fails: refused at the start, or unavailable for now. Engines' own exceptions end here."""

from __future__ import annotations


class StoreRefused(Exception):
    """The database cannot be used as it is; the text is one sentence for the operator."""


class StoreInUse(StoreRefused):
    """Appliances are running on the database, and what was wanted is only for when none is."""


class StoreUnavailable(Exception):
    """The database did not answer, or not in time. A write may have been carried out: look before repeating it."""


class ConstraintBroken(Exception):
    """The schema forbids what a unit wrote, and nothing of it was kept. Units look first, so this is a bug of ours."""
