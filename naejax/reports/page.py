"""The page of a report: its data and everything that draws it, in one HTML file."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Any

_SCRIPTS = (
    "dom.js",
    "format.js",
    "chart.js",
    "levels.js",
    "explore.js",
    "summary.js",
    "importance.js",
    "shapes.js",
    "interactions.js",
    "rows.js",
    "quality.js",
    "gallery.js",
    "texts.js",
    "main.js",
)
# In a script element, "<" could end it; the line separators end lines in old scripts.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_KINDS = ("table", "sop", "texts")


def render(data: Mapping[str, Any]) -> str:
    """Renders a report as one HTML page that needs no network and no server.

    The page holds the data as JSON, one style sheet and one script, and a content
    security policy that names both by their SHA-256 hashes: nothing else can run, and
    nothing can be loaded, whatever the names in the data are.

    Args:
        data: the report; ``kind`` is "table", "sop" (images)
            or "texts" and ``title`` a text. Numbers
            are finite, None stands for a missing one.

    Returns:
        The page.

    Raises:
        ValueError: if the kind is unknown, the title is missing or a number is not
            finite.

    Example:
        >>> page = render({"kind": "table", "title": "<b>", "features": []})
        >>> page[:15], "<title>&lt;b&gt;</title>" in page, "<b>" in page
        ('<!doctype html>', True, False)
    """
    if data.get("kind") not in _KINDS or not isinstance(data.get("title"), str):
        raise ValueError(
            f"got a report of kind {data.get('kind')!r} with the title "
            f"{data.get('title')!r}, expected a kind of {_KINDS} and a text: pass what "
            "table_report, image_report or text_report returns"
        )
    style = _asset("report.css") + _asset("texts.css")
    script = _script()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; "
        f"style-src '{_hash(style)}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return Template(_asset("page.html")).substitute(
        title=html.escape(data["title"].encode("utf-8", "replace").decode()),
        policy=policy,
        style=style,
        data=to_script_json(data),
        script=script,
    )


def to_script_json(data: Mapping[str, Any]) -> str:
    """Writes JSON that can stand inside a script element.

    Args:
        data: of texts, finite numbers, booleans, None, lists and dictionaries.

    Returns:
        ASCII without ``<``, ``>`` and ``&``, which parses to the same data.

    Raises:
        ValueError: if a number is not finite.

    Example:
        >>> print(to_script_json({"a": "</script>", "b": None}))
        {"a":"\\u003c/script\\u003e","b":null}
    """
    try:
        text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise ValueError(
            f"the data of the report is no JSON ({error}): write None for a number "
            "that is not finite"
        ) from error
    return text.translate(_ESCAPES)


def _asset(name: str) -> str:
    """Text of a file beside this one."""
    return (resources.files("naejax.reports") / "assets" / name).read_text("utf-8")


def _script() -> str:
    """All scripts as one, whose names stay inside."""
    return '(() => {\n"use strict";\n' + "\n".join(map(_asset, _SCRIPTS)) + "})();\n"


def _hash(text: str) -> str:
    """What a content security policy calls an inline script or style."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
