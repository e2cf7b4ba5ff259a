"""The language of texts: py3langid's own answer, in a tenth of its time."""

from __future__ import annotations

import pytest

from weighin.scores.language import BEGINNING, language

TEXTS = {
    "en": "How do I change the address of my order? I have moved to another town.",
    "de": "Wie kann ich meine Bestellung noch ändern? Ich bin gestern umgezogen.",
    "fr": "Comment puis-je changer l'adresse de ma commande ? J'ai déménagé hier.",
    "es": "¿Cómo puedo cambiar la dirección de mi pedido? Me he mudado a otra ciudad.",
    "ru": "Как мне изменить адрес доставки моего заказа? Я переехал в другой город.",
    "ja": "注文の配送先住所を変更するにはどうすればよいですか。昨日引っ越しました。",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_language_is_told_as_the_library_tells_it(code: str) -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    assert language(TEXTS[code]) == code
    assert language(TEXTS[code]) == LanguageIdentifier.from_pickled_model(MODEL_FILE).classify(TEXTS[code])[0]


@pytest.mark.parametrize("text", ["", "ok, thank you", "2026-11-30 12:30 " * 20, "\x00\x1b[31m" * 5])
def test_of_a_short_text_none_is_told(text: str) -> None:
    assert language(text) == ""


def test_the_beginning_of_a_text_is_looked_at() -> None:
    assert language(TEXTS["en"] * 30 + TEXTS["ru"] * 1_000) == "en"
    assert len(TEXTS["en"] * 30) > BEGINNING


def test_half_a_character_stops_nothing() -> None:
    assert language(TEXTS["de"] + "\ud800") == "de"
