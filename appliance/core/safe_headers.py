"""What a browser is told by every answer of our own, and by none of a cluster's: believe nothing, keep nothing.

A page says more exactly what it needs (`login/site`); these are for everything that is no page.
"""

from __future__ import annotations

from typing import Final

SAFE_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
)

TRANSPORT: Final = "max-age=31536000"  # a year, and for this host only: what else its domain serves is not ours to say
