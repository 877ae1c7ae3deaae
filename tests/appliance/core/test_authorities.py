"""Which authorities there are, and who would be cut off if the older one went."""

from __future__ import annotations

from appliance.core.authorities import MARGIN, KnownAuthority, clusters_behind, in_order, issued_before, successor
from appliance.core.clusters import AgentCertificate

BEGUN = 1_000_000_000
NEWEST = KnownAuthority("authority/10", BEGUN)


def certificate(cluster: str, issued_at: int, not_after: int = 10 * BEGUN) -> AgentCertificate:
    return AgentCertificate(f"{cluster}{issued_at}", cluster, 1, not_after, issued_at)


def test_they_are_numbered_and_come_in_that_order() -> None:
    known = {it.name: it for it in (NEWEST, KnownAuthority("authority", 1), KnownAuthority("authority/2", 2))}

    assert [it.name for it in in_order(known)] == ["authority", "authority/2", "authority/10"]
    assert [successor(name) for name in ("authority", "authority/10")] == ["authority/2", "authority/11"]


def test_who_has_renewed_since_is_not_behind() -> None:
    certificates = [
        certificate("renewed", BEGUN - 1),
        certificate("renewed", BEGUN + MARGIN),
        certificate("behind", BEGUN - 1),
        certificate("too-soon", BEGUN + 1),  # another appliance may not have known yet
        certificate("expired", BEGUN - 1, not_after=BEGUN),
    ]

    assert clusters_behind(certificates, NEWEST, 2 * BEGUN) == {"behind", "too-soon"}
    assert issued_before(certificates[0], NEWEST)
    assert not issued_before(certificates[1], NEWEST)
