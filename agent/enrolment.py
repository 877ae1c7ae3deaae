"""How the agent gets and renews its certificate.

What always holds: the CA in the bundle is the only trust root and the host's name is checked, so the token goes to the
right appliance or to nobody; a stored credential wins over a bundle, because the bundle's token is spent by then; the
private key stays where it was made. It does not retry: dialling does.
"""

from __future__ import annotations

import hashlib
import json
import logging
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from agent.custody import Custody, OwnFiles
from agent.identity import DataDirectory, Identity, IdentityError
from agent.outbound import Connect, Place, connect
from wire import calls
from wire.contexts import client_context

BUNDLE_VERSION: Final = 1
MAX_BUNDLE_BYTES: Final = 64 * 1024
CALL_SECONDS: Final = 10.0  # the appliance writes to its store and answers; more is a path that swallows bytes
MAX_PEM_CHARS: Final = 32 * 1024

_log = logging.getLogger("fairlead.agent")


class BundleError(Exception):
    """There is no usable bundle; the text is a sentence that says what to do."""


class EnrolmentRefusedError(Exception):
    """The appliance said no, with its sentence. `final`: trying again with the same bundle cannot help."""

    def __init__(self, sentence: str, *, final: bool) -> None:
        super().__init__(sentence)
        self.final = final


@dataclass(frozen=True, slots=True)
class Bundle:
    """What an operator carried into the cluster. `repr` does not show the token."""

    cluster_id: str
    place: Place
    token: str
    ca_pem: str

    @property
    def mark(self) -> str:
        """What is remembered of a token once it is spent."""
        return hashlib.sha256(self.token.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"<Bundle for {self.cluster_id} at {self.place.url}>"


def read_bundle(path: Path) -> Bundle:
    """Read the bundle file.

    Raises:
        BundleError: it is missing, writable by others, or not a bundle of this version.

    """
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            raw = file.read(MAX_BUNDLE_BYTES + 1)
    except FileNotFoundError:
        raise BundleError(
            f"This agent is not enrolled and there is no bundle at {path}: make one and put it there."
        ) from None
    except OSError as error:
        raise BundleError(f"The bundle {path} cannot be read: {error.strerror}.") from None
    if mode & stat.S_IWOTH:
        raise BundleError(f"The bundle {path} can be changed by others: run `chmod o-w {path}`.")
    try:
        if len(raw) > MAX_BUNDLE_BYTES:
            raise BundleError(f"The bundle {path} is too long to be one.")
        content = json.loads(raw)
        if content["version"] != BUNDLE_VERSION:
            raise BundleError(f"The bundle {path} is of version {content['version']}: use an agent of its release.")
        cluster_id, url, token, ca_pem = (content[key] for key in ("cluster", "url", "token", "ca"))
        if not all(isinstance(value, str) and value for value in (cluster_id, url, token, ca_pem)):
            raise ValueError
        place = Place.parse(url)
        client_context(ca_pem, alpn=["h2"])  # says now rather than later that the CA is not one
    except (ValueError, KeyError, TypeError, ssl.SSLError):
        raise BundleError(f"The file {path} is not a bundle: make a new one for this cluster.") from None
    return Bundle(cluster_id, place, token, ca_pem)


class Enrolment:
    """Finds the identity to dial with: the stored one, or one bought with a bundle that is not spent yet."""

    def __init__(
        self, directory: DataDirectory, bundle_path: Path, custody: Custody | None = None, connect: Connect = connect
    ) -> None:
        self._directory = directory
        self._bundle_path = bundle_path
        self._custody = custody or OwnFiles()
        self._connect = connect
        self._one_at_a_time = trio.Lock()  # several sessions begin at once, and one token buys one certificate
        self._refused = ""  # mark of a token that the appliance will not take

    async def identity(self) -> Identity:
        """Return the identity. A new bundle in the old one's place enrols again, so a revoked agent can come back.

        Raises:
            BundleError: there is neither a credential nor a bundle.
            CustodyError: replicas share one, and it cannot be reached.
            and what `enrol` raises.

        """
        async with self._one_at_a_time:
            return await self._identity()

    async def renew(self, identity: Identity) -> Identity:
        """Exchange an identity that is still good for a new one, unless another replica has. Raises as `enrol`."""
        async with self._one_at_a_time:
            await self._custody.fetch()
            stored = self._directory.identity()
            if stored is not None and stored.issued > identity.issued:
                return stored
            return await self._custody.offer(await renew(identity, self._directory, self._connect))

    async def _identity(self) -> Identity:
        await self._custody.fetch()
        stored = self._directory.identity()
        try:
            bundle = read_bundle(self._bundle_path)
        except BundleError:
            if stored is None:
                raise
            return stored
        if stored is not None and bundle.mark in {stored.spent, self._refused}:
            return stored
        try:
            enrolled = await enrol(bundle, self._directory, self._connect)
            return await self._custody.offer(enrolled)
        except EnrolmentRefusedError as error:
            if stored is None:
                raise
            if error.final:
                self._refused = bundle.mark
            _log.warning("the bundle was refused, so the stored certificate is used: %s", error)
            return stored


async def enrol(bundle: Bundle, directory: DataDirectory, connect: Connect = connect) -> Identity:
    """Spend the bundle's token for a certificate, and keep it.

    Raises:
        EnrolmentRefusedError: the appliance said no.
        OutboundError: it could not be reached, or is not the one the bundle was made by.
        CallError: it hung up without an answer; asking again is safe.
        IdentityError: what came back is not for us.

    """
    body = {"token": bundle.token, "request": directory.signing_request()}
    context = client_context(bundle.ca_pem, alpn=["h2"])
    answer = await _call(connect, bundle.place, context, calls.ENROL_PATH, body)
    cluster_id = calls.text(answer, "cluster", 64)
    if cluster_id != bundle.cluster_id:
        raise IdentityError(
            f"The token is for cluster {cluster_id}, the bundle for {bundle.cluster_id}: make a new one."
        )
    return _keep(directory, cluster_id, bundle.place, answer, bundle.mark)


async def renew(identity: Identity, directory: DataDirectory, connect: Connect = connect) -> Identity:
    """Exchange a certificate that is still good for a new one. Raises what `enrol` raises."""
    context = client_context(identity.ca_pem, certificate=(identity.certificate_path, identity.key_path), alpn=["h2"])
    place = Place.parse(identity.url)
    body = {"request": directory.signing_request(), "cluster": identity.cluster_id}
    answer = await _call(connect, place, context, calls.RENEW_PATH, body)
    return _keep(directory, identity.cluster_id, place, answer, identity.spent)


async def _call(connect: Connect, place: Place, context: ssl.SSLContext, path: bytes, body: calls.Body) -> calls.Body:
    stream = await connect(place, context)
    try:
        with trio.fail_after(CALL_SECONDS):
            status, answer = await calls.call(stream, place.authority, path, body)
            await stream.aclose()
    except trio.TooSlowError:
        raise calls.CallError(f"no answer within {CALL_SECONDS:.0f} s") from None
    finally:
        stream.abort()
    if status != 200:
        sentence = answer.get("message")
        raise EnrolmentRefusedError(
            sentence if isinstance(sentence, str) else f"status {status}", final=status in {400, 401, 403}
        )
    return answer


def _keep(directory: DataDirectory, cluster_id: str, place: Place, answer: calls.Body, spent: str) -> Identity:
    clock = answer.get("clock")
    try:
        certificate_pem = calls.text(answer, "certificate", MAX_PEM_CHARS)
        ca_pem = calls.text(answer, "ca", MAX_PEM_CHARS)
        client_context(ca_pem, alpn=["h2"])
        return directory.keep(
            cluster_id=cluster_id,
            url=place.url,
            ca_pem=ca_pem,
            certificate_pem=certificate_pem,
            spent=spent,
            their_clock=clock if isinstance(clock, int) else None,
        )
    except (ValueError, ssl.SSLError) as error:
        raise IdentityError(f"The appliance's answer holds no certificate: {error}.") from None
