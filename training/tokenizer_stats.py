"""Measuring how many tokens a tokenizer makes of support talk, for estimates before the text is tokenised.

Measured once, when a base model is made, and stored in its `revision.json`, where the web reads it without torch.
"""

from __future__ import annotations

from typing import Any

from training.contract import TextFigures

SUPPORT_TALK = (
    "Hi there, I placed order #MB-20417 on Tuesday and still no confirmation email at <EMAIL_ADDRESS_1>. Whats wrong?",
    "Thanks for getting in touch, <PERSON_1>! The confirmation went to an old address; I'm sending it again right now.",
    "The battery of my mower lasts barely twenty minutes, although the manual says an hour. It's only 8 months old!!",
    "That sounds like a faulty cell. Your warranty covers it: send us a photo of the serial number (SN 7742-BK) and "
    "we'll ship a new battery.",
    "Do I have to pay customs if you deliver to <LOCATION_1>? Last time I was charged 34.50 at the door.",
    "Prices in our shop don't include import duties. The carrier collects them, and we can't pay them in advance.",
    "Please cancel my subscription and delete my account. I never agreed to the second year. Tel. <PHONE_NUMBER_1>",
    "Your subscription ends on 30 June and won't renew. Deleting it takes up to two days; you'll get one last message.",
    "can u tell me how to connect it to wifi?? it keeps blinking red and the app says \"no device found\"",
    "Next steps:\n1. Hold the power button for five seconds.\n2. Choose \"Add device\" in the app.\n3. Type in your "
    "network's password.\n\nKind regards,\nyour support team",
    "I'd like to move my appointment from Friday morning to the week after, if there is still a slot available.",
    "Of course, I can offer Wednesday at 10:15 or Thursday afternoon. Which one suits you better?",
)
"""Typed, dictated and formal, with numbers, placeholders and line breaks. Not in any training data here."""


def text_figures(tokenizer: Any) -> TextFigures:
    """Measure a tokenizer and its chat template."""
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(SUPPORT_TALK)]
    system = {"role": "system", "content": SUPPORT_TALK[0]}
    contents = sum(_count(tokenizer, text) for text in SUPPORT_TALK)
    # Rendered once with and once without a system message, because templates add a default one.
    inside = contents + _count(tokenizer, SUPPORT_TALK[0])
    per_message = (_rendered(tokenizer, [system, *messages]) - inside) / (len(messages) + 1)
    without = _rendered(tokenizer, messages) - contents - per_message * len(messages)
    return TextFigures(
        characters_per_token=round(sum(map(len, SUPPORT_TALK)) / contents, 3),
        tokens_per_message=round(per_message, 2), tokens_without_system=round(max(without, 0.0), 1), measured=True,
    )


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _rendered(tokenizer: Any, messages: list[dict[str, str]]) -> int:
    return _count(tokenizer, tokenizer.apply_chat_template(messages, tokenize=False))
