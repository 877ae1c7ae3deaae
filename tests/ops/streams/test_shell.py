"""The shell as its users see it: a script, and what it prints and returns."""

from __future__ import annotations

import hashlib

import pytest
import trio

from ops.demo.toy.streams.container import Container
from ops.demo.toy.streams.grammar import ShellSyntaxError, parse
from tests.ops.streams.rig_local import run, sh

SCRIPTS = [
    ("echo a  b", "a b\n", 0),
    ("echo 'a  b' \"c  $HOME\" d\\ e '$HOME'", "a  b c  /root d e $HOME\n", 0),
    ("echo one; echo two", "one\ntwo\n", 0),
    ("true && echo yes || echo no", "yes\n", 0),
    ("false && echo yes || echo no", "no\n", 0),
    ("! true; echo $?", "1\n", 0),
    ("false; echo $?; true; echo $?", "1\n0\n", 0),
    ("exit 7; echo never", "", 7),
    ("false", "", 1),
    ("(exit 3)", "", 2),
    ("A=1; B=$A$A; echo ${B}x", "11x\n", 0),
    ("A='x  y'; echo $A; echo \"$A\"; echo a${A}b", "x y\nx  y\nax yb\n", 0),
    ('echo $NOTHING; echo "$NOTHING" end', "\n end\n", 0),
    ("A=2 env | tail -n 1; echo [$A]", "A=2\n[]\n", 0),
    ("export A=3; env | tail -n1; unset A; echo [$A]", "A=3\n[]\n", 0),
    ("cd /tmp; pwd; cd ..; pwd; cd; pwd", "/tmp\n/\n/root\n", 0),
    ("cd /tmp | true; pwd", "/\n", 0),
    ("echo 1 > /tmp/f; echo 2 >> /tmp/f; cat < /tmp/f; echo 3 >/tmp/f; cat /tmp/f", "1\n2\n3\n", 0),
    ("cat /nope 2>/dev/null; echo $?", "1\n", 0),
    ("cat /nope 2>&1 | wc -l", "1\n", 0),
    ("echo lost >&2 2>/dev/null", "", 0),
    ("printf '%s-%d\\n' a 1 b 2", "a-1\nb-2\n", 0),
    ("seq 3 | cat | tail -n 1", "3\n", 0),
    ("yes | head -n 2", "y\ny\n", 0),
    ("seq 100000 | head -n1", "1\n", 0),
    ("seq 5 | tail -c+5", "3\n4\n5\n", 0),
    ("seq 5 | tail -n +4", "4\n5\n", 0),
    ("echo abc | head -c 2; echo; printf 'a b\\nc' | wc", "ab\n1 3 5\n", 0),
    ("head -c 100000 /dev/zero | sha256sum", f"{hashlib.sha256(bytes(100000)).hexdigest()}  -\n", 0),
    ("test -d /tmp && [ -f /etc/hostname ] && test a != b && [ 3 -gt 2 ] && echo ok", "ok\n", 0),
    ("mkdir -p /tmp/a/b; touch /tmp/a/b/c; ls /tmp/a/b; rm -r /tmp/a; ls /tmp", "c\n", 0),
    ("hostname; whoami; id -u; tty", "web\nroot\n0\nnot a tty\n", 1),
    ("echo a # comment ; echo b\necho c", "a\nc\n", 0),
    ("echo a \\\n b", "a b\n", 0),
    ("sh -c 'echo $0 $1 $# $@' name x y; sh -c 'exit 5'; echo $?", "name x 2 x y\n5\n", 0),
    ("echo 'echo from a file $1' > /tmp/s; sh /tmp/s arg", "from a file arg\n", 0),
    ("echo 2 >/tmp/x; cat /tmp/x", "2\n", 0),
    ("echo a2>/tmp/x; cat /tmp/x", "a2\n", 0),
    ("date +%Y | wc -c", "5\n", 0),
    ("nosuch; echo $?", "127\n", 0),
]


@pytest.mark.parametrize(("script", "out", "code"), SCRIPTS)
async def test_a_script(container: Container, script: str, out: str, code: int) -> None:
    ran = await sh(container, script)
    assert ran.out == out, ran.err
    assert ran.code == code


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("while true; do date; done", '"while"'),
        ("for i in a; do echo; done", '"for"'),
        ("echo $(date)", "command substitution"),
        ("echo `date`", "command substitution"),
        ("sleep 1 &", '"&"'),
        ("cat << END", '"<<"'),
        ("f() { echo; }", '"("'),
        ("echo ${A:-b}", "bad substitution"),
        ("echo 'open", "unterminated"),
        ("; echo", '";"'),
        ("echo > ", "without a target"),
        ("| cat", '"|"'),
    ],
)
async def test_what_the_shell_has_not_is_refused_by_name(container: Container, script: str, named: str) -> None:
    ran = await sh(container, script)
    assert (ran.code, ran.out) == (2, "")
    assert named in ran.err


async def test_a_missing_command_is_told_as_a_shell_tells_it(container: Container) -> None:
    ran = await sh(container, "nosuch arg")
    assert (ran.code, ran.err) == (127, "sh: nosuch: not found\n")


async def test_a_script_on_standard_input_shares_it_with_its_commands(container: Container) -> None:
    ran = await run(
        container, "sh", stdin=b"echo first\nhead -n 1\nfor the command\necho 'two\nlines'\nexit 4\necho no\n"
    )
    assert (ran.out, ran.code) == ("first\nfor the command\ntwo\nlines\n", 4)


async def test_stages_run_side_by_side_and_an_endless_one_ends_with_its_reader(container: Container) -> None:
    with trio.fail_after(60):
        assert (await sh(container, "sleep 30 | sleep 30 | sleep 30; yes | yes | head -c 4")).out == "y\ny\n"


async def test_the_wrong_arguments_are_a_usage_error(container: Container) -> None:
    for script in ("sleep soon", "seq x", "head -n x", "tar", "tar zcf - a", "ls -Z", "rm", "stty raw", "test a b c d"):
        ran = await sh(container, script)
        assert ran.code in {1, 2}, script
        assert ran.err, script


@pytest.mark.parametrize("script", ["'", '"', "a &&", "a |", "\\"])
def test_text_that_may_go_on_is_told_from_text_that_is_wrong(script: str) -> None:
    with pytest.raises(ShellSyntaxError) as caught:
        parse(script)
    assert type(caught.value).__name__ == "UnfinishedError"
