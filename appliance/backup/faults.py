"""Why there is no backup, or why it was not restored: one sentence for the operator."""

from __future__ import annotations


class BackupError(Exception):
    """Nothing was made, or nothing was changed; the text is one sentence that says why."""


class BackupDamaged(BackupError):
    """The file is not what was written."""
