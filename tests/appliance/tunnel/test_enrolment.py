"""Tokens buy one certificate for one key, once, in time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.enrolment import EnrolmentRefusedError, enrol, read_bundle, renew
from agent.identity import Identity
from agent.outbound import Failing, OutboundError
from appliance.bridges import Enrolments
from appliance.core.buckets import FAILURES_BURST
from appliance.core.events import EventType
from appliance.store import units
from appliance.store.clock import utc_micros
from appliance.tunnel import enrolment
from appliance.tunnel.authority import Authority
from appliance.tunnel.enrolment import mint_token, token_digest
from tests.appliance.tunnel.rig import CLUSTER, Harbour, altered, harbour
from wire import calls

pytestmark = pytest.mark.real_clock


def test_a_token_is_long_random_and_known_by_its_digest() -> None:
    first, second = mint_token(0), mint_token(0)

    assert first.token != second.token
    assert len(first.token) > 40
    assert first.sha256 == token_digest(first.token)
    assert first.token not in repr(first.sha256)


async def test_an_agent_enrols_and_its_serial_is_known_before_it_hears(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        identity = await here.enrolled()

        assert identity.cluster_id == CLUSTER
        assert len(here.store.snapshot.serials) == 1
        assert here.kinds() == [EventType.AGENT_ENROLLED]
        assert identity.key_path.stat().st_mode & 0o777 == 0o600
        assert identity.certificate_path.stat().st_mode & 0o777 == 0o600


async def test_a_lost_answer_is_given_again_to_the_same_key(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        bundle = read_bundle(await here.bundle())
        first = await enrol(bundle, here.agent())
        certificate = first.certificate_path.read_bytes()

        again = await enrol(bundle, here.agent())

        assert again.certificate_path.read_bytes() == certificate
        assert len(here.store.snapshot.serials) == 1
        assert here.events[-1].details == (("again", "true"),)


async def test_a_token_spent_by_another_key_is_refused_and_recorded(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        bundle = read_bundle(await here.bundle())
        await enrol(bundle, here.agent("first"))

        with pytest.raises(EnrolmentRefusedError, match="spent or expired") as caught:
            await enrol(bundle, here.agent("thief"))

        assert caught.value.final
        assert here.kinds() == [EventType.AGENT_ENROLLED, EventType.AGENT_AUTH_FAILED]
        assert here.events[-1].details == (("reason", "token spent by another key"),)
        assert here.events[-1].client_address == "127.0.0.1"


async def test_wrong_and_expired_tokens_are_refused(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        path = await here.bundle(seconds=-1)
        with pytest.raises(EnrolmentRefusedError, match="unknown, spent or expired"):
            await enrol(read_bundle(path), here.agent())
        with pytest.raises(EnrolmentRefusedError, match="unknown, spent or expired"):
            await enrol(altered(path, token="flb_wrong"), here.agent())
        assert here.store.snapshot.serials == {}


async def test_a_token_made_for_an_older_generation_is_refused(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        bundle = read_bundle(await here.bundle())
        await here.store.write(units.raise_generation(CLUSTER, utc_micros()))

        with pytest.raises(EnrolmentRefusedError):
            await enrol(bundle, here.agent())


async def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        path = await here.bundle()
        wrong = altered(path, token="flb_wrong")
        for _ in range(FAILURES_BURST):
            with pytest.raises(EnrolmentRefusedError, match="Make a new bundle"):
                await enrol(wrong, here.agent())
        with pytest.raises(EnrolmentRefusedError, match="Too many requests") as caught:
            await enrol(wrong, here.agent())

        assert not caught.value.final
        assert here.kinds().count(EventType.SIGN_IN_LIMITED) == 1, "that an address is refused from now on is on record"


async def test_the_token_is_never_sent_to_a_server_of_another_ca(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        stranger = altered(await here.bundle(), ca=Authority.make(utc_micros()).certificate_pem)

        with pytest.raises(OutboundError, match="not trusted") as caught:
            await enrol(stranger, here.agent())

        assert caught.value.failing is Failing.CERTIFICATE
        assert here.events == []


async def test_the_host_name_is_checked(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        elsewhere = altered(await here.bundle(), url=f"https://localhost:{here.port}")

        with pytest.raises(OutboundError) as caught:
            await enrol(elsewhere, here.agent())
        assert caught.value.failing is Failing.CERTIFICATE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93\x01\x02\x03",
        b"\xc1",
        b"x" * 60_000,
        calls.encode({"token": "t"}),
        calls.encode({"token": "t", "request": "x"}),
    ],
)
async def test_bodies_that_make_no_sense_are_answered(tmp_path: Path, body: bytes) -> None:
    async with harbour(tmp_path) as here:
        status, answer = await _raw(here, calls.ENROL_PATH, body)

        assert status == 400
        assert answer["code"] == "BAD_REQUEST"


async def test_there_is_nothing_at_other_paths(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        assert (await _raw(here, b"/admin", calls.encode({})))[0] == 404


async def test_renewal_needs_a_certificate_and_gives_another(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        identity = await here.enrolled()
        request = {"request": here.agent().signing_request()}

        refused, answer = await _raw(here, calls.RENEW_PATH, calls.encode(request))
        status, renewed = await _raw(here, calls.RENEW_PATH, calls.encode(request), identity)

        assert (refused, answer["code"]) == (401, "AUTHENTICATION_REQUIRED")
        assert status == 200
        assert renewed["certificate"] != identity.certificate_path.read_text()
        assert len(here.store.snapshot.serials) == 2
        assert here.kinds()[-1] is EventType.AGENT_RENEWED


@pytest.mark.parametrize("meanwhile", ["raised", "removed"])
async def test_a_renewal_that_crosses_a_revocation_is_told_so(tmp_path: Path, meanwhile: str) -> None:
    """The certificate was still good when it was looked at, and no longer is when the new one would be kept."""
    async with harbour(tmp_path) as here:
        identity = await here.enrolled()

        class Crossing(Enrolments):
            async def keep_certificate(self, *arguments: Any) -> bool:
                unit = units.raise_generation if meanwhile == "raised" else units.remove_cluster
                await here.store.write(unit(CLUSTER, utc_micros()))
                return await super().keep_certificate(*arguments)

        here.parts.enrolment._store = Crossing(here.store)
        fault = "its generation was revoked" if meanwhile == "raised" else "its cluster does not exist"
        with pytest.raises(EnrolmentRefusedError, match=f"{fault}.*Make a new bundle") as caught:
            await renew(identity, here.agent())

        assert caught.value.final
        assert here.kinds()[-1] is EventType.AGENT_AUTH_FAILED
        assert here.events[-1].details == (("reason", fault),)


async def test_who_renews_in_a_loop_comes_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each certificate is kept in every appliance's memory for as long as it is good."""
    monkeypatch.setattr(enrolment, "MAX_CERTIFICATES", 3)
    async with harbour(tmp_path) as here:
        identity = await here.enrolled()
        for _ in range(2):
            identity = await renew(identity, here.agent())

        with pytest.raises(EnrolmentRefusedError, match="certificates already") as caught:
            await renew(identity, here.agent())

        assert not caught.value.final
        assert len(here.store.snapshot.serials) == 3
        await here.store.write(units.raise_generation(CLUSTER, utc_micros()))
        await here.enrolled("other")


async def test_a_bundle_shows_no_token_when_it_is_printed(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        path = await here.bundle()

        assert json.loads(path.read_text())["token"] not in repr(read_bundle(path))


async def _raw(
    here: Harbour, path: bytes, body: bytes, identity: Identity | None = None
) -> tuple[int, dict[str, str | int]]:
    """One call with a body of any bytes."""
    from wire.carrier import AnswerReceived, Carrier

    stream = await here.connect(identity)
    carrier = Carrier(client=True)
    carrier.request(path, b"agents.example.com", body)
    with trio.fail_after(15):
        while True:
            await stream.send_all(carrier.take())
            for event in carrier.receive(await stream.receive_some()):
                if isinstance(event, AnswerReceived):
                    await stream.aclose()
                    return event.status, calls.decode(event.body)
