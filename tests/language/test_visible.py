"""Characters that nobody sees are written out, wherever text is printed."""

from __future__ import annotations

import json
import unicodedata

import pytest

from mutspec.text.visible import in_json, in_lines, in_one_line, in_place


@pytest.mark.parametrize("kind", ["Cc", "Cf", "Cs", "Zl", "Zp"])
def test_no_character_of_control_or_format_is_left(kind: str) -> None:
    found = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == kind]
    visible = {character for character in found if in_one_line(character) == character}
    # Marks of scripts that are seen: of Arabic numbers and verses, Syriac, Egyptian, shorthand, music.
    assert all(
        ord(each) in {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2} or ord(each) > 0x110B0
        for each in visible
    )


def test_what_is_written_out_says_which_character_it_was() -> None:
    text = "a\x1b[31m\n\u202e\u200b\U000e0041\ud800é漢👍"
    assert in_one_line(text) == "a\\x1b[31m\\n\\u202e\\u200b\\U000e0041\\ud800é漢👍"
    assert in_lines("a\tb\nc\x00") == "a\tb\nc\\x00"
    assert in_place(text) == "a�[31m�����é漢👍"


def test_a_json_document_says_the_same() -> None:
    document = {"name\u202e": "a\x7f\u200b\U000e0041é"}
    text = in_json(json.dumps(document, ensure_ascii=False, indent=1))
    assert text == in_lines(text)
    assert json.loads(text) == document
