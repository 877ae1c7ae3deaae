"""The authorities in force, with their keys: who vouches for our listeners, who for agents, and whom agents trust.

Everyone who signs or verifies asks here each time, because it may change while the appliance runs; `changed` says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from appliance.tunnel.authority import Authority
from wire.calls import trust_mark


class Trust:
    """One authority, or an older and a newer one for as long as the change lasts."""

    pem: str
    """Their certificates: what an agent, a kubeconfig and our own listener trust."""
    mark: str
    """How agents are told which set of CAs that is."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        self.changed = trio.Event()
        self._hold(authorities)

    @property
    def for_listeners(self) -> Authority:
        """The one that every agent knows."""
        return self._authorities[0]

    @property
    def for_agents(self) -> Authority:
        """The one that will be left."""
        return self._authorities[-1]

    def replace(self, authorities: Sequence[Authority]) -> None:
        """From now on these."""
        self._hold(authorities)
        self.changed.set()
        self.changed = trio.Event()

    def _hold(self, authorities: Sequence[Authority]) -> None:
        self._authorities = tuple(authorities)
        self.pem = "".join(it.certificate_pem for it in authorities)
        self.mark = trust_mark(self.pem)
