"""Every command against arguments nobody meant: an exit code and a sentence, never an exception."""

from __future__ import annotations

import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.demo.toy.streams.commands import COMMANDS
from ops.demo.toy.streams.container import Container
from tests.ops.streams.rig_local import Ran, run, sh

ODDITIES_TEXT = """
-n -c -n3 -c+2 -l -la -p -rf -t -e -d -eq = ! ] -u +%Y +% size -f -C - -- x=1 /tmp /etc/hostname /nope ..
/dev/null /dev/stdin 0 1 -1 99999999999999999999 1e3 nan inf %s %d %5d %b %% \\n \\400 \\x ² A=1
"""
ODDITIES = ODDITIES_TEXT.split()
words = st.one_of(
    st.sampled_from(ODDITIES),
    st.text("ab-+%\\/.0 \n'\"$é", max_size=6),
)
quiet = st.sampled_from(sorted(set(COMMANDS) - {"yes", "tar"}))
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


@relaxed
@given(name=quiet, arguments=st.lists(words, max_size=4), stdin=st.binary(max_size=40))
def test_no_arguments_make_a_command_fail_without_an_exit_code(
    container: Container, name: str, arguments: list[str], stdin: bytes
) -> None:
    async def try_it() -> None:
        with trio.move_on_after(5):  # seq can be asked for more than anyone would wait for
            ran: Ran = await run(container, name, *arguments, stdin=stdin)
            assert 0 <= ran.code <= 255

    trio.run(try_it, clock=trio.testing.MockClock(autojump_threshold=0))


@relaxed
@given(
    script=st.lists(
        st.sampled_from([*"ab;|&<>!'\"\\$ \n{}()#12", "echo ", "&&", "$A", "${A}", "2>&1", "cd "]), max_size=12
    )
)
def test_no_script_makes_the_shell_fail_without_an_exit_code(container: Container, script: list[str]) -> None:
    async def try_it() -> None:
        ran = await sh(container, "".join(script))
        assert 0 <= ran.code <= 255

    trio.run(try_it, clock=trio.testing.MockClock(autojump_threshold=0))
