"""The catalogue: closed, complete, and every sentence says what to do next."""

from __future__ import annotations

import string
from typing import Any

import pytest

from appliance.core.problems import CATALOGUE, Code, ProblemError, problem
from appliance.core.wordings import Wording, worded

WORDS = {
    name
    for _, sentence in CATALOGUE.values()
    for _, name, _, _ in string.Formatter().parse(sentence)
    if name is not None
}


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_status_and_a_sentence_with_a_next_step(code: Code) -> None:
    status, sentence = CATALOGUE[code]
    assert 400 <= status <= 599
    assert sentence.endswith((".", "{example}", "{remedy}"))
    if code is not Code.VALIDATION_ERROR:  # its detail is the step
        assert len(sentence.split(". ")) >= 2
    words: dict[str, Any] = dict.fromkeys(WORDS, "x")
    told = problem(code, **words)
    assert (told.code, told.status) == (code, status)
    assert "{" not in told.message


def test_authentication_and_rate_limits_keep_their_codes() -> None:
    assert {code for code, (status, _) in CATALOGUE.items() if status == 429} == {
        Code.RATE_LIMITED,
        Code.TOO_MANY_STREAMS,
    }
    assert CATALOGUE[Code.CREDENTIAL_EXPIRED][0] == 401


def test_no_control_character_leaves_through_a_problem() -> None:
    told = problem(Code.BAD_REQUEST, detail="a\r\nb\x1b[2J", meta=(("detail", "x\ny"),))
    assert told.message.startswith("The request is not well formed: a??b?[2J.")
    assert told.meta == (("detail", "x?y"),)


def test_a_missing_word_is_our_bug() -> None:
    with pytest.raises(KeyError):
        problem(Code.RATE_LIMITED)


def test_a_raised_problem_carries_the_value() -> None:
    told = problem(Code.RATE_LIMITED, seconds=3, retry_after=3)
    with pytest.raises(ProblemError, match="RATE_LIMITED: Too many requests") as caught:
        raise ProblemError(told)
    assert caught.value.problem is told


@pytest.mark.parametrize("wording", Wording)
def test_other_words_say_what_to_do_next_as_well(wording: Wording) -> None:
    code, sentence = wording.value
    assert sentence.endswith(".")
    assert len(sentence.split(". ")) >= 2
    told = worded(wording, call="x", needs="a\nb", fault="x", limit=1)
    assert (told.code, "{" in told.message, "\n" in told.message) == (code, False, False)
