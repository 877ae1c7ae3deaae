"""What the agent says of itself over each of its sessions, and what it hears of the appliance.

What always holds: a note asks for nothing and names no cluster, because the session it travels in says whose it is;
what is said of the API server was tried within the last look. Nothing here ends or opens a session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import trio

from agent.api_server import ApiServer, NoAnswerError
from agent.identity import Identity, wall_seconds
from wire import calls
from wire.session import Session

LOOK_SECONDS: Final = 10.0  # how late the appliance hears that the API server answers no more, if nobody asks it
FAULT_LOOK_SECONDS: Final = 3.0  # and that it answers again
MAX_SENTENCE_CHARS: Final = 300
MAX_SKEW_SECONDS: Final = 60  # certificates are backdated by five minutes
COMPLAINT_SECONDS: Final = 60.0  # between two lines about notes, of which a peer may send any number

_log = logging.getLogger("fairlead.agent")


class Reporter:
    """Looks at the API server and tells every live session what it saw."""

    def __init__(
        self, api_server: ApiServer, *, version: str, guard: str, refused: Callable[[], int], look_seconds: float
    ) -> None:
        self._api_server = api_server
        self._refused = refused
        self._look_seconds = look_seconds
        self._said: dict[str, str | int] = {"version": version, "guard": guard[:MAX_SENTENCE_CHARS]}
        self._looked = trio.Event()
        self._live: dict[Session, Identity] = {}
        self._complaint_at = float("-inf")
        self.fault = "not looked yet"
        self.trust = ""
        """SHA-256 of the CAs that the appliance wants trusted; empty: it has not said."""
        self.trust_changed = trio.Event()

    async def run(self) -> None:
        """Look and tell, until cancelled."""
        while True:
            await self._look()
            for session in list(self._live):
                self._tell(session)
            if self.fault:
                await trio.sleep(FAULT_LOOK_SECONDS)
                continue
            with trio.move_on_after(self._look_seconds):
                await self._api_server.trouble()

    def begin(self, session: Session, identity: Identity) -> None:
        """A session stands: tell it what is known, and listen."""
        self._live[session] = identity
        session.on_note(self._hear)
        if self._looked.is_set():
            self._tell(session)

    def end(self, session: Session) -> None:
        """A session is over."""
        self._live.pop(session, None)

    def _tell(self, session: Session) -> None:
        moment = {
            "clock": int(wall_seconds()),
            "refused": self._refused(),
            "expires": int(self._live[session].not_after),
        }
        session.note(calls.encode({**self._said, **moment}))

    async def _look(self) -> None:
        before = self.fault
        try:
            status, answer = await self._api_server.ask(b"GET", b"/version")
        except NoAnswerError as error:
            self.fault = str(error)[:MAX_SENTENCE_CHARS]
        else:
            self.fault = f"The API server answers with status {status}." if status >= 500 else ""
            version = _version(answer)
            if version:
                self._said["kubernetes"] = version
        self._said["api_server"] = self.fault
        self._looked.set()
        if self.fault != before:
            (_log.warning if self.fault else _log.info)("the API server", extra={"fault": self.fault})

    def _hear(self, body: bytes) -> None:
        try:
            said = calls.decode(body)
        except calls.MalformedBodyError as error:
            self._complain("a note of the appliance's cannot be read: %s", error)
            return
        self.heard_clock(said.get("clock"))
        trust = said.get("trust")
        if isinstance(trust, str) and trust != self.trust:
            self.trust = trust
            self.trust_changed.set()
            self.trust_changed = trio.Event()

    def heard_clock(self, theirs: object) -> None:
        """Compare the appliance's clock (seconds since the epoch) with ours, and say so when they differ."""
        if not isinstance(theirs, int):
            return
        skew = int(wall_seconds()) - theirs
        if abs(skew) > MAX_SKEW_SECONDS:
            which = "ahead of" if skew > 0 else "behind"
            self._complain("this host's clock is %d s %s the appliance's: check NTP on both", abs(skew), which)

    def _complain(self, sentence: str, *of: object) -> None:
        if trio.current_time() >= self._complaint_at + COMPLAINT_SECONDS:
            self._complaint_at = trio.current_time()
            _log.warning(sentence, *of)


def _version(answer: Any) -> str:
    version = answer.get("gitVersion") if isinstance(answer, dict) else None
    return version[:64] if isinstance(version, str) and version.isprintable() else ""
