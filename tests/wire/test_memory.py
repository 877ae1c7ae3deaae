"""A bounded memory of what a pure function gave."""

from __future__ import annotations

import pytest

from wire.memory import Memory


def test_what_is_known_is_not_made_again() -> None:
    made: list[int] = []

    def double(number: int) -> int:
        made.append(number)
        return 2 * number

    memory = Memory(double, 3, lambda number, _: number < 100)
    assert [memory[1], memory[1], memory[2], memory[100], memory[100]] == [2, 2, 4, 200, 200]
    assert made == [1, 2, 100, 100]


def test_a_full_memory_forgets_and_stays_bounded() -> None:
    memory: Memory[int, int] = Memory(lambda number: -number, 3, lambda *_: True)
    for number in range(100):
        assert memory[number] == -number
        assert len(memory) <= 3


def test_a_failure_is_not_remembered() -> None:
    def refuse(number: int) -> int:
        raise ValueError(number)

    memory: Memory[int, int] = Memory(refuse, 3, lambda *_: True)
    for _ in range(2):
        with pytest.raises(ValueError, match="7"):
            memory[7]
    assert not memory
