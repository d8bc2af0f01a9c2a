"""Answers in the three forms that clients ask for: XML, JSON and JSONP."""

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from fastapi import Response

from deepcuts import __version__

API_VERSION = "1.16.1"
NAMESPACE = "http://subsonic.org/restapi"
GENERIC, MISSING, WRONG_LOGIN, NO_TOKEN, NO_MECHANISM, TWO_MECHANISMS, BAD_KEY, FORBIDDEN, NOT_FOUND = (
    0, 10, 40, 41, 42, 43, 44, 50, 70)  # fmt: skip
_CALLBACK = re.compile(r"[A-Za-z_$][\w$.]{0,100}")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Refused(Exception):
    """A call that is answered by an error of the protocol; HTTP stays 200."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def answer(content: Mapping[str, Any], form: str = "xml", callback: str = "") -> Response:
    """A successful answer: the envelope around some content."""
    return _written({"status": "ok", **_about(), **content}, form, callback)


def refusal(code: int, message: str, form: str = "xml", callback: str = "") -> Response:
    """A failed answer."""
    return _written({"status": "failed", **_about(), "error": {"code": code, "message": message}}, form, callback)


def _about() -> dict[str, Any]:
    return {"version": API_VERSION, "type": "deepcuts", "serverVersion": __version__, "openSubsonic": True}


def _written(content: Mapping[str, Any], form: str, callback: str) -> Response:
    if form in ("json", "jsonp"):
        text = json.dumps({"subsonic-response": content}, ensure_ascii=False)
        if form == "jsonp" and _CALLBACK.fullmatch(callback):
            return Response(f"{callback}({text});", media_type="application/javascript")
        return Response(text, media_type="application/json")
    return Response(to_xml(content), media_type="text/xml")


def to_xml(content: Mapping[str, Any]) -> str:
    """The envelope as XML: single values are attributes, lists are repeated elements."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _element("subsonic-response", {"xmlns": NAMESPACE, **content})


def _element(name: str, held: Any) -> str:
    if not isinstance(held, Mapping):
        return f"<{name}>{_escaped(held)}</{name}>"
    attributes, inside = "", ""
    for key, value in held.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            inside += _element(key, value)
        elif isinstance(value, list | tuple):
            inside += "".join(_element(key, one) for one in value)
        elif key == "value":
            inside += _escaped(value)
        else:
            attributes += f" {key}={quoteattr(_text(value))}"
    return f"<{name}{attributes}>{inside}</{name}>" if inside else f"<{name}{attributes}/>"


def _escaped(value: Any) -> str:
    element = ElementTree.Element("x")
    element.text = _text(value)
    return ElementTree.tostring(element, encoding="unicode")[3:-4] if element.text else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _NOT_XML.sub("\ufffd", str(value))
