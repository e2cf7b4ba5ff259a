"""Scores of an answer by itself."""

from __future__ import annotations

import pytest

from weighin.scores import style
from weighin.scores.catalogue import NEED_REFERENCES, OF_ANSWERS, OF_BOTH, score
from weighin.scores.overlap import ROUGE
from weighin.stats.metrics import METRICS


def test_every_metric_of_a_text_task_has_its_score_and_no_other() -> None:
    named = {name for name, metric in METRICS.items() if "text" in metric.tasks}
    assert named == {*OF_BOTH, *OF_ANSWERS, *ROUGE}
    assert named - NEED_REFERENCES == set(OF_ANSWERS)


@pytest.mark.parametrize("name", sorted({*OF_BOTH, *OF_ANSWERS, *ROUGE}))
@pytest.mark.parametrize("answer", ["", " ", "\x00\x1b[31m", "<script>alert(1)</script>", "🎉", "a" * 5_000])
def test_any_text_has_a_finite_score_within_its_range(name: str, answer: str) -> None:
    (value,) = score(name, [answer], ["the reference"])[name]
    assert 0 <= value <= METRICS[name].range or "index" in name or "grade" in name
    assert value == value


def test_a_score_of_both_asks_for_references() -> None:
    with pytest.raises(TypeError, match="an answer and its reference"):
        score("token_f1", ["a"], None)


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m afraid I am unable to say.", True),
        ("I cannot assist with this request.", True),
        ("As an AI language model, I have no opinion.", True),
        ("I can help. Here is the list.", False),
        ("The user said: sorry. We can.", False),
        ("x" * 500 + " I cannot help you", False),
    ],
)
def test_a_refusal_is_known_by_how_it_begins(answer: str, refuses: bool) -> None:
    assert style.refusal([answer]).tolist() == [refuses]


def test_grades_are_those_of_the_formulas() -> None:
    text = "The cat sat on the mat. It was happy."
    # 9 words, 2 sentences, 27 letters, 10 syllables (pyphen divides no "hap-py" into three).
    assert style.words([text]).tolist() == [9]
    assert style.automated_readability_index([text]).tolist() == pytest.approx([4.71 * 27 / 9 + 0.5 * 4.5 - 21.43])
    assert style.flesch_kincaid_grade([text]).tolist() == pytest.approx([0.39 * 4.5 + 11.8 * 10 / 9 - 15.59])
    assert style.flesch_kincaid_grade(["", "..."]).tolist() == [0, 0]
    harder = "Notwithstanding considerable organisational deterioration, administrators acquiesced."
    assert style.flesch_kincaid_grade([harder]) > style.flesch_kincaid_grade([text])


def test_profanity_is_a_probability_that_tells_insults_from_thanks() -> None:
    insult, thanks = style.profanity(["you are a stupid idiot", "thank you for the quick answer"])
    assert insult > 0.9
    assert thanks < 0.2


@pytest.mark.parametrize("text", ["{", "", "Infinity", "[1,]", "```json\n{}\n```", "[" * 100_000])
def test_what_is_no_json_is_no_json(text: str) -> None:
    assert style.valid_json([text]).tolist() == [0]
