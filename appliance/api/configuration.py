"""Where everything is: the one document that a command, a console or a script reads first, given the appliance's URL.

It holds nothing that is worth hiding and nothing to trust: no certificate (whoever answers would vouch for itself), no
list of clusters, providers or people.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from appliance.api.routes import PREFIX
from appliance.core.sessions import COMMAND_CLIENT_ID

METHOD: Final = "GET"
PATH: Final = "/.well-known/fairlead-configuration"


def document(public_url: str, help_url: str) -> dict[str, Any]:
    """URLs, with `{…}` where something is to be filled in."""
    return {
        "version": version("fairlead"),
        "public_url": public_url,
        "api": f"{public_url}{PREFIX}",
        "proxy": f"{public_url}/api/proxy/{{cluster}}",
        "authorization_server": f"{public_url}/.well-known/oauth-authorization-server",
        "client_id": COMMAND_CLIENT_ID,
        "sign_in": f"{public_url}/fairlead/sign-in",
        "errors": f"{help_url}{{code}}",
    }
