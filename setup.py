"""The one part of the build that pyproject.toml cannot say: compiling the hot path, when it is asked for.

`FAIRLEAD_COMPILE=1 pip install .` has mypyc turn the modules below into C extensions, from the very sources that run
interpreted otherwise: strictly typed code needs no second text. It costs a C compiler and a minute, and halves the CPU
of a request. Without it nothing is missing but speed.
"""

import os

from setuptools import setup

COMPILED = [
    "wire/blocks.py",
    "wire/carrier.py",
    "wire/chunked.py",
    "wire/connection.py",
    "wire/credit.py",
    "wire/exchange.py",
    "wire/fields.py",
    "wire/frames.py",
    "wire/headers.py",
    "wire/heads.py",
    "wire/http1.py",
    "wire/kube.py",
    "wire/memory.py",
    "wire/opening.py",
    "wire/passes.py",
    "wire/pulse.py",
    "wire/readiness.py",
    "wire/schedule.py",
    "wire/selectors.py",
    "wire/session.py",
    "wire/states.py",
    "wire/tls.py",
    "wire/transport.py",
    "wire/workers.py",
    "agent/answer.py",
    "agent/errand.py",
    "agent/guard.py",
    "agent/outgoing.py",
    "agent/pool.py",
    "agent/relay.py",
    "agent/upload.py",
    "appliance/audit/binder.py",
    "appliance/audit/chain.py",
    "appliance/audit/ledger.py",
    "appliance/audit/records.py",
    "appliance/audit/scribe.py",
    "appliance/audit/sheaf.py",
    "appliance/core/buckets.py",
    "appliance/core/clusters.py",
    "appliance/core/credentials.py",
    "appliance/core/decision.py",
    "appliance/core/events.py",
    "appliance/core/people.py",
    "appliance/core/problems.py",
    "appliance/core/roles.py",
    "appliance/core/rulebook.py",
    "appliance/core/standing.py",
    "appliance/core/uses.py",
    "appliance/front/caller.py",
    "appliance/front/client.py",
    "appliance/front/errand.py",
    "appliance/front/exchange.py",
    "appliance/front/gone.py",
    "appliance/front/intake.py",
    "appliance/front/records.py",
    "appliance/front/relay.py",
    "appliance/front/replies.py",
    "appliance/front/responses.py",
    "appliance/front/running.py",
    "appliance/front/upload.py",
    "appliance/heard.py",
    "appliance/store/clock.py",
]
"""What runs for every request. Modules that run once, or that build classes at run time, stay as they are."""


def extensions() -> list[object]:
    """Return what to compile: nothing, unless it was asked for."""
    if os.environ.get("FAIRLEAD_COMPILE") != "1":
        return []
    from mypyc.build import mypycify

    # A C file for each module, because one of them all takes the compiler longer.
    return list(mypycify(["--follow-imports=silent", *COMPILED], opt_level="2", debug_level="0", multi_file=True))


setup(ext_modules=extensions())
