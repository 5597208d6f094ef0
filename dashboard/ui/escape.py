"""Where text from data meets HTML, Markdown or a script. Nothing else may put it there.

Templates are rendered by Jinja2 with autoescaping, which calls the same ``html``.
"""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup, escape

_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"[!-/:-@\[-`{-~]")


def plain(text: object) -> str:
    """The text without control characters and without marks that turn its direction round."""
    found = str(text)
    return found if found.isprintable() else _INVISIBLE.sub("", found)


def html(text: object) -> Markup:
    """The text as HTML content or a quoted attribute value."""
    return escape(plain(text))


def markdown(text: object) -> str:
    """The text as Markdown that shows exactly these characters: all punctuation as entities."""
    return _MARKDOWN.sub(lambda mark: f"&#{ord(mark.group())};", plain(text))


def script(value: Any) -> Markup:
    """A value as a JavaScript literal that no ``</script>``, quote or template can end early."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&'`$":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
