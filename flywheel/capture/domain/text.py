"""Delivered text to plain text: HTML removed, Unicode composed, control characters dropped."""

from __future__ import annotations

import html
import re
import unicodedata

import nh3

# Only tags that mail clients and help desks write count as HTML, so that "a < b" and <EMAIL_1> stay text.
_HTML = re.compile(
    r"</?(?:html|head|body|p|div|br|span|a|b|i|u|em|strong|ul|ol|li|table|tbody|thead|tr|td|th|h[1-6]|img|blockquote"
    r"|pre|code|font|hr|style|script|iframe|svg|input|form|button|meta|link|o:p)\b[^<>]*>|<!--|<!doctype",
    re.IGNORECASE,
)
_BREAK = re.compile(r"<\s*(?:br\s*/?|/p|/div|/li|/tr|/h[1-6]|/blockquote|/pre|hr\s*/?)\s*>", re.IGNORECASE)
_CELL = re.compile(r"<\s*/t[dh]\s*>", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"<([A-Z][A-Z_]*_\d+)>")
# Also invisible characters and those that change the reading direction: inside a number or a name they would hide it
# from the detector.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]"
)
# Joiners make one emoji or one Arabic word of several characters; between ASCII characters they only hide something.
_JOINERS = re.compile(r"(?<=[!-~])[\u034f\u180e\u200c\u200d\ufe0e\ufe0f]+(?=[!-~])")
_BLANKS = re.compile(r"[ \t\u00a0]+\n")
_GAPS = re.compile(r"\n{3,}")


def clean_text(text: str) -> str:
    """Plain text in NFC with "\\n" line ends, without control characters, HTML and blank edges.

    "" when none of its characters is visible.
    """
    # A lone surrogate is not a character, and neither UTF-8 nor a database can hold it.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "<" in text and _HTML.search(text):
        text = strip_html(text)
    text = _CONTROL.sub(lambda m: "\n" if m.group() in "\u2028\u2029\x0b\x0c\x85" else "", text)
    text = unicodedata.normalize("NFC", _JOINERS.sub("", text))
    text = _GAPS.sub("\n\n", _BLANKS.sub("\n", text)).strip()
    return text if any(c.isprintable() and not c.isspace() for c in text) else ""


def strip_html(text: str) -> str:
    """The text that a reader of this HTML sees; scripts and styles are removed with their content."""
    text = _PLACEHOLDER.sub(r"&lt;\1&gt;", text)
    text = _CELL.sub(" ", _BREAK.sub("\n", text))
    bare = nh3.clean(text, tags=set(), attributes={}, clean_content_tags={"script", "style"})
    return html.unescape(bare)


def one_line(text: str, *, limit: int) -> str:
    """Clean text on one line, cut to `limit` characters."""
    line = " ".join(clean_text(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
