"""The description of the interface for programs, in OpenAPI 3.1."""

from typing import Any, get_args

from hifa_cli import __version__
from hifa_cli.config import Find, ServeConfig
from hifa_cli.web.request import LARGEST, TRUTHS

_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}
_MAYBE_TEXT, _MAYBE_NUMBER = {"type": ["string", "null"]}, {"type": ["number", "null"]}
_VALUE = {"type": ["string", "number", "boolean", "null"]}
_MATCH = {
    "type": "object",
    "required": ["rank", "shape", "class", "score", "view", "azimuth", "elevation", "source", "thumbnail"],
    "properties": {
        "rank": {"type": "integer", "minimum": 1}, "shape": _TEXT, "class": _MAYBE_TEXT, "score": _NUMBER,
        "likelihood": _NUMBER, "view": {"type": ["integer", "null"]}, "azimuth": _MAYBE_NUMBER,
        "elevation": _MAYBE_NUMBER, "source": _MAYBE_TEXT, "thumbnail": _MAYBE_TEXT,
    },
}  # fmt: skip
_PICTURE = {
    "type": "object",
    "required": ["picture", "width", "height"],
    "properties": {"picture": _TEXT, "width": {"type": "integer"}, "height": {"type": "integer"}},
}
_RESULT = {
    "type": "object",
    "required": ["query", "matches"],
    "properties": {
        "query": _TEXT, "matches": {"type": "array", "items": _MATCH}, "error": _TEXT, "text": _TEXT,
        "nothing_here": {"type": "boolean"}, "like": {"type": "array", "items": _TEXT},
        "unlike": {"type": "array", "items": _TEXT}, "pictures": {"type": "array", "items": _PICTURE},
    },
}  # fmt: skip
_FOUND = {
    "type": "object",
    "required": ["gallery", "queries", "failed", "results"],
    "properties": {
        "gallery": _TEXT, "queries": {"type": "integer"}, "failed": {"type": "integer"},
        "results": {"type": "array", "items": _RESULT},
    },
}  # fmt: skip
_SHAPE = {
    "type": "object",
    "required": ["shape", "class", "fields", "mesh", "thumbnail"],
    "properties": {
        "shape": _TEXT, "class": _MAYBE_TEXT, "mesh": _MAYBE_TEXT, "thumbnail": _MAYBE_TEXT,
        "fields": {"type": "object", "additionalProperties": _VALUE},
    },
}  # fmt: skip
_FACTS = {
    "type": "object",
    "required": ["shape", "class", "fields"],
    "properties": {name: _SHAPE["properties"][name] for name in ("shape", "class", "fields")},  # type: ignore[index]
}
_LIST = {
    "type": "object",
    "required": ["count", "shapes"],
    "properties": {"count": {"type": "integer"}, "shapes": {"type": "array", "items": _FACTS}},
}
_PAIR = {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 2, "maxItems": 2}
_PAIRS = {"type": "array", "items": _PAIR, "description": "Each a value and its count."}
_FIELD = {
    "type": "object",
    "required": ["name", "kind", "unit", "origin", "known"],
    "properties": {
        "name": _TEXT, "kind": {"enum": ["number", "flag", "text"]}, "unit": _MAYBE_TEXT,
        "origin": {"enum": ["measured", "metadata"]}, "known": {"type": "integer"}, "least": _NUMBER,
        "most": _NUMBER, "values": _PAIRS,
    },
}  # fmt: skip
_GALLERY = {
    "type": "object",
    "required": ["name", "shapes", "classes", "fields", "find", "text", "most", "upload", "photos"],
    "properties": {
        "name": _TEXT, "shapes": {"type": "integer"}, "classes": _PAIRS,
        "fields": {"type": "array", "items": _FIELD}, "find": {"type": "array", "items": _TEXT},
        "text": {"type": "boolean"}, "most": {"type": "integer"}, "upload": {"type": "integer"},
        "photos": {"type": "integer"},
    },
}  # fmt: skip
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}
_WHY = {
    "400": "The request is not well-formed HTTP.",
    "401": "The token is missing or wrong.", "403": "Another site's page may not ask.",
    "404": "The shape, mesh or picture does not exist.", "405": "The method is another one.",
    "408": "The body does not come.", "411": "The body has no Content-Length.",
    "413": "The photos are too large.", "414": "The address is too long.",
    "415": "A body of this type is not a photo.",
    "421": "The server does not answer for this host.",
    "422": "An option is wrong, or no photo can be used.", "431": "There are too many headers.",
    "503": "Too many requests wait, or the gallery's store is away: Retry-After says.",
    "505": "This version of HTTP is not known.",
}  # fmt: skip
_ANYWHERE = (400, 401, 403, 405, 411, 414, 421, 431, 505)
_HEADERS = {
    "401": ("WWW-Authenticate", _TEXT), "405": ("Allow", _TEXT), "503": ("Retry-After", {"type": "integer"}),
}  # fmt: skip


def specification(config: ServeConfig) -> dict[str, Any]:
    """Return the OpenAPI document of a server with these limits."""
    shape = [{"name": "id", "in": "path", "required": True, "schema": _TEXT,
              "description": "Id of the shape, percent-encoded with its slashes."}]  # fmt: skip
    view = {"name": "view", "in": "path", "required": True, "description": "Number of the view, from 0.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 9999}}  # fmt: skip
    png, mesh = _content("image/png", {}), _content("application/octet-stream", {})
    jpeg = _content("image/jpeg", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": "hifa", "version": __version__, "summary": "Photos find 3D shapes."},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}] if config.token else [],
        "paths": {
            "/v1/search": {"post": {
                "operationId": "search", "summary": "Rank the shapes for photos, words or other shapes.",
                "parameters": _options(config), "requestBody": _photos(),
                "responses": _answers(
                    "What hifa query --json prints.", _json(_FOUND), 408, 413, 415, 422, 503),
            }},
            "/v1/gallery": _get("gallery", "What the gallery holds, and the limits.", _json(_GALLERY), []),
            "/v1/shapes": _get("shapes", "Shapes that a condition holds for, in the gallery's order.",
                               _json(_LIST), _list_options(config), 422),
            "/v1/shapes/{id}": _get("shape", "A shape and its fields.", _json(_SHAPE), shape, 404),
            "/v1/shapes/{id}/mesh": _get("mesh", "The file of a shape's mesh.", mesh, shape, 404),
            "/v1/shapes/{id}/thumbnail": _get("thumbnail", "A picture of a shape.", png, shape, 404),
            "/v1/shapes/{id}/preview": _get(
                "preview", "The mesh, thinned, as the page's viewer takes it.", mesh, shape, 404),
            "/v1/shapes/{id}/views/{view}": _get(
                "view", "A picture of a shape from one of its views.", jpeg, [*shape, view], 404),
            "/health": _open(_get("health", "Whether the server answers.", _json({"type": "object"}), [])),
            "/metrics": _get("metrics", "Numbers for Prometheus.", _content("text/plain", _TEXT), []),
            "/openapi.json": _open(_get("specification", "This document.", _json({"type": "object"}), [])),
        },
    }  # fmt: skip


def _options(config: ServeConfig) -> list[dict[str, Any]]:
    many = {"type": "array", "items": _TEXT}
    number = {"type": "number", "minimum": -1, "maximum": 1}
    known: dict[str, tuple[dict[str, Any], str]] = {
        "top": ({"type": "integer", "minimum": 1, "maximum": config.most}, "How many shapes."),
        "threshold": (number, "Only shapes of at least this score."),
        "class": (many, "Only shapes of these classes."),
        "where": (_TEXT, "Only shapes that this condition holds for."),
        "crop": (many, "x,y,w,h in pixels: the part that counts, one for each photo in order."),
        "fuse": ({"type": "string", "enum": list(TRUTHS)}, "All photos show one object."),
        "find": ({"type": "string", "enum": list(get_args(Find))}, "The kind, the very part, or both."),
        "like": (many, "Ids of shapes to look for more of."),
        "unlike": (many, "Ids of shapes to look for less of."),
        "text": (_TEXT, "Words to look for, where the gallery's encoder knows words."),
        "pictures": (
            {"type": "integer", "minimum": 0, "maximum": LARGEST},
            "Pixels of each photo's longer side, as it was read, in the answer; 0 for none.",
        ),
        "text_weight": ({"type": "number", "minimum": 0, "maximum": 1}, "Of the words beside a photo."),
    }
    return [_option(name, *about) for name, about in known.items()]


def _option(name: str, schema: dict[str, Any], said: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": said}


def _list_options(config: ServeConfig) -> list[dict[str, Any]]:
    same = [one for one in _options(config) if one["name"] in ("top", "class", "where")]
    return [*same, _option("offset", {"type": "integer", "minimum": 0}, "How many are left out.")]


def _photos() -> dict[str, Any]:
    photo = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {"type": "object", "properties": {"photo": {"type": "array", "items": photo}}}
    return {"content": {
        "application/octet-stream": {"schema": {}}, "image/*": {"schema": {}},
        "multipart/form-data": {"schema": form},
    }}  # fmt: skip


def _get(
    name: str, summary: str, content: dict[str, Any], parameters: list[dict[str, Any]], *more: int
) -> dict[str, Any]:
    answers = _answers(summary, content, *more)
    return {"get": {"operationId": name, "summary": summary, "parameters": parameters, "responses": answers}}


def _open(path: dict[str, Any]) -> dict[str, Any]:
    """Return an address that needs no token."""
    return {"get": {**path["get"], "security": []}}


def _answers(summary: str, content: dict[str, Any], *more: int) -> dict[str, Any]:
    refusals = {str(status): _refusal(str(status)) for status in sorted({*_ANYWHERE, *more})}
    return {"200": {"description": summary, "content": content}, **refusals}


def _refusal(status: str) -> dict[str, Any]:
    refusal = {"description": _WHY[status], "content": _json(_ERROR)}
    if status in _HEADERS:
        name, schema = _HEADERS[status]
        refusal["headers"] = {name: {"required": True, "schema": schema}}
    return refusal


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return _content("application/json", schema)


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": schema}}
