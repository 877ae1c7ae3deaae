"""Bundles, and which identity an agent dials with. The conversation itself: tests/appliance/tunnel/test_enrolment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.enrolment import BundleError, Enrolment, EnrolmentRefusedError, read_bundle, renew
from agent.identity import write_private
from agent.outbound import OutboundError
from appliance.tunnel.authority import Authority
from tests.appliance.tunnel.rig import harbour

CA = Authority.make(1_790_000_000_000_000).certificate_pem
GOOD = {"version": 1, "cluster": "c", "url": "https://a.example.com:5443", "token": "flb_x", "ca": CA}


def test_a_bundle_is_read(tmp_path: Path) -> None:
    write_private(tmp_path / "b", json.dumps(GOOD).encode())

    bundle = read_bundle(tmp_path / "b")

    assert (bundle.cluster_id, bundle.place.host, bundle.place.port) == ("c", "a.example.com", 5443)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"url": "http://a.example.com"},
        {"url": "https://a.example.com/path"},
        {"token": ""},
        {"token": 7},
        {"ca": "no certificate"},
        {"ca": ""},
        {"cluster": None},
    ],
)
def test_what_is_no_bundle_says_so(tmp_path: Path, change: dict[str, object]) -> None:
    write_private(tmp_path / "b", json.dumps(GOOD | change).encode())

    with pytest.raises(BundleError, match=str(tmp_path)):
        read_bundle(tmp_path / "b")


def test_a_missing_or_open_bundle_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no bundle"):
        read_bundle(tmp_path / "b")
    write_private(tmp_path / "b", json.dumps(GOOD).encode())
    (tmp_path / "b").chmod(0o666)
    with pytest.raises(BundleError, match="chmod o-w"):
        read_bundle(tmp_path / "b")


@pytest.mark.real_clock
async def test_a_stored_credential_wins_over_its_spent_bundle(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        path = await here.bundle()
        first = await Enrolment(here.agent(), path).identity()

        assert await Enrolment(here.agent(), path).identity() == first
        path.unlink()
        assert await Enrolment(here.agent(), path).identity() == first
        assert len(here.events) == 1


@pytest.mark.real_clock
async def test_a_new_bundle_enrols_again(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        first = await Enrolment(here.agent(), await here.bundle()).identity()

        second = await Enrolment(here.agent(), await here.bundle()).identity()

        assert second.spent != first.spent
        assert len(here.store.snapshot.serials) == 2


@pytest.mark.real_clock
async def test_a_bundle_that_is_refused_leaves_the_stored_credential(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        first = await Enrolment(here.agent(), await here.bundle()).identity()
        enrolment = Enrolment(here.agent(), await here.bundle(seconds=-1))

        assert await enrolment.identity() == first
        refusals = len(here.events)
        assert await enrolment.identity() == first
        assert len(here.events) == refusals, "a token that was refused is not shown again"


@pytest.mark.real_clock
async def test_without_a_credential_a_refusal_is_final(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        with pytest.raises(EnrolmentRefusedError):
            await Enrolment(here.agent(), await here.bundle(seconds=-1)).identity()


@pytest.mark.real_clock
async def test_renewal_keeps_the_new_certificate(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        identity = await here.enrolled()
        before = identity.certificate_path.read_bytes()

        renewed = await renew(identity, here.agent())

        assert renewed.certificate_path.read_bytes() != before
        assert renewed.spent == identity.spent


@pytest.mark.real_clock
async def test_an_appliance_that_is_not_there(tmp_path: Path) -> None:
    write_private(tmp_path / "b", json.dumps(GOOD | {"url": "https://127.0.0.1:1"}).encode())
    async with harbour(tmp_path) as here:
        with pytest.raises(OutboundError, match="check address, DNS and port"):
            await Enrolment(here.agent(), tmp_path / "b").identity()
