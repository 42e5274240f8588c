"""The description of the interface for programs, in OpenAPI 3.1."""

from typing import Any, get_args

from hifa_cli import __version__
from hifa_cli.config import Find, ServeConfig
from hifa_cli.web.request import TRUTHS

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
_RESULT = {
    "type": "object",
    "required": ["query", "matches"],
    "properties": {
        "query": _TEXT, "matches": {"type": "array", "items": _MATCH}, "error": _TEXT, "text": _TEXT,
        "nothing_here": {"type": "boolean"}, "like": {"type": "array", "items": _TEXT},
        "unlike": {"type": "array", "items": _TEXT},
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
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}
_WHY = {
    "400": "The request is not well-formed HTTP.",
    "401": "The token is missing or wrong.", "403": "Another site's page may not ask.",
    "404": "There is no such shape, mesh or picture.", "405": "The method is another one.",
    "411": "The body has no Content-Length.", "413": "The photos are too large.",
    "414": "The address is too long.", "415": "A body of this type is not a photo.",
    "421": "The server does not answer for this host.",
    "422": "An option is wrong, or no photo can be used.", "431": "There are too many headers.",
    "503": "Too many requests wait: Retry-After says.", "505": "This version of HTTP is not known.",
}  # fmt: skip
_ANYWHERE = (400, 401, 403, 405, 411, 414, 421, 431, 505)
_HEADERS = {
    "401": ("WWW-Authenticate", _TEXT), "405": ("Allow", _TEXT), "503": ("Retry-After", {"type": "integer"}),
}  # fmt: skip


def specification(config: ServeConfig) -> dict[str, Any]:
    """Return the OpenAPI document of a server with these limits."""
    shape = [{"name": "id", "in": "path", "required": True, "schema": _TEXT,
              "description": "Id of the shape, percent-encoded with its slashes."}]  # fmt: skip
    png, mesh = _content("image/png", {}), _content("application/octet-stream", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": "hifa", "version": __version__, "summary": "Photos find 3D shapes."},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}] if config.token else [],
        "paths": {
            "/v1/search": {"post": {
                "operationId": "search", "summary": "Rank the shapes for photos, words or other shapes.",
                "parameters": _options(config), "requestBody": _photos(),
                "responses": _answers("What hifa query --json prints.", _json(_FOUND), 413, 415, 422, 503),
            }},
            "/v1/shapes/{id}": _get("shape", "A shape and its fields.", _json(_SHAPE), shape, 404),
            "/v1/shapes/{id}/mesh": _get("mesh", "The file of a shape's mesh.", mesh, shape, 404),
            "/v1/shapes/{id}/thumbnail": _get("thumbnail", "A picture of a shape.", png, shape, 404),
            "/health": _open(_get("health", "Whether the server answers.", _json({"type": "object"}), [])),
            "/metrics": _get("metrics", "Numbers for Prometheus.", _content("text/plain", _TEXT), []),
            "/openapi.json": _open(_get("specification", "This document.", _json({"type": "object"}), [])),
        },
    }  # fmt: skip


def _options(config: ServeConfig) -> list[dict[str, Any]]:
    many = {"type": "array", "items": _TEXT}
    number = {"type": "number", "minimum": -1, "maximum": 1}
    known = {
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
        "text_weight": ({"type": "number", "minimum": 0, "maximum": 1}, "Of the words beside a photo."),
    }
    return [
        {"name": name, "in": "query", "schema": schema, "description": said}
        for name, (schema, said) in known.items()
    ]


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
