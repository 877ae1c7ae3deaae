"""When a machine's token was last used: noted once in ten minutes for each token, not for every request."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from appliance.api.parts import Parts
from appliance.core.machines import MachineToken
from appliance.store import machines

MAX_NOTING: Final = 1_024  # tokens whose note is being written; beyond, a note is left out


class TokenUses:
    """For one process."""

    def __init__(self) -> None:
        self._noting: set[str] = set()

    async def note(self, parts: Parts, token: MachineToken | None, now: int) -> None:
        """Writes it down if that is due. A store that cannot be written keeps nobody from reading."""
        if token is None or not token.use_is_due(now) or token.id in self._noting or len(self._noting) >= MAX_NOTING:
            return
        self._noting.add(token.id)
        try:
            await parts.write(machines.use_token(token.id, now))
        except tuple(parts.faults) as error:
            say_unnoted(parts, error, token.id)
        finally:
            self._noting.discard(token.id)


def say_unnoted(parts: Parts, error: Exception, token_id: str) -> None:
    if times := parts.outages.met("uses", trio.current_time()):
        why = str(error) or type(error).__name__
        structlog.get_logger().warning("the use of a token could not be noted", token_id=token_id, why=why, times=times)
