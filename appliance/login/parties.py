"""The providers as this process knows them: one client each, made anew when its settings change."""

from __future__ import annotations

from appliance.core.problems import Code, ProblemError, problem
from appliance.core.providers import Provider
from appliance.login.parts import LoginParts
from appliance.login.relying_party import RelyingParty, Unavailable
from appliance.store import providers


class Parties:
    """Clients by provider."""

    def __init__(self, parts: LoginParts) -> None:
        self._parts = parts
        self._known: dict[str, RelyingParty] = {}

    def enabled(self) -> list[Provider]:
        """Those that people may choose from, by title."""
        found = self._parts.snapshot().providers.values()
        return sorted((it for it in found if it.enabled), key=lambda it: (it.title, it.id))

    def named(self, slug: str) -> RelyingParty:
        """The one in a URL. Raises ProblemError when there is none, or it is disabled."""
        provider = self._parts.snapshot().provider_by_slug.get(slug)
        party = self.of(provider.id) if provider is not None else None
        if party is None:
            raise ProblemError(problem(Code.PROVIDER_NOT_FOUND, path="/fairlead/sign-in"))
        return party

    def of(self, provider_id: str) -> RelyingParty | None:
        """None: it is gone or disabled."""
        provider = self._parts.snapshot().providers.get(provider_id)
        if provider is None or not provider.enabled:
            self._known.pop(provider_id, None)
            return None
        known = self._known.get(provider_id)
        if known is None or known.provider != provider:
            known = self._known[provider_id] = self._made(provider)
        return known

    def _made(self, provider: Provider) -> RelyingParty:
        async def secret() -> str:
            sealed = await self._parts.read(providers.secret(provider))
            if sealed is None:
                raise Unavailable(f"The client secret of {provider.issuer} is not set.")
            return self._parts.unseal(provider.secret_name, sealed.key_id, sealed.box).decode()

        return RelyingParty(provider, self._parts.dialler, secret)
