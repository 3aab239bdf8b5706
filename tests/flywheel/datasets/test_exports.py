"""Rows as export formats."""

from __future__ import annotations

import json

from flywheel.datasets.exports import openai_line, text_block

ROW = [{"role": "user", "content": "a\nb\u2028c", "weight": 0}, {"role": "assistant", "content": "d", "weight": 1}]


def test_a_chat_line_is_one_line_of_json():
    line = openai_line(ROW)
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {"messages": [
        {"role": "user", "content": "a\nb\u2028c"}, {"role": "assistant", "content": "d", "weight": 1},
    ]}


def test_a_text_block_ends_in_a_line_of_dashes():
    assert text_block(ROW).decode() == "a\nb\u2028c\n\nd\n\n---\n\n"
