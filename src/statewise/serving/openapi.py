"""The server's description of itself, OpenAPI 3.1: each model with the paths that it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .._version import __version__
from .hosting import Hosted
from .messages import Kept, Open, Opened, Said
from .problem import MEDIA_TYPE

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was expected, and what came"},
    },
}
JSON = "application/json"
STREAM = {"name": "stream", "in": "path", "required": True, "schema": {"type": "string"}}


def described(models: Iterable[Hosted], token: bool) -> dict[str, Any]:
    """The description of a server of ``models``; whether a ``token`` is needed."""
    schemas: dict[str, Any] = {"Problem": PROBLEM}
    paths: dict[str, Any] = {
        "/health/live": {"get": _said("The process answers.", "any")},
        "/health/ready": {"get": _said("It may be sent requests: 503 while it stops.", "any")},
        "/metrics": {"get": _said("What Prometheus asks for.", "text")},
        "/v1/models": {"get": _said("The models.", "any")},
        "/v1/models/{model}": {
            "get": _said("One model.", "any")
            | {"parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]}
        },
    }
    if token:
        for path in ("/health/live", "/health/ready"):
            paths[path]["get"]["security"] = []
    for model in models:
        paths |= _of_model(model, schemas)
    secured: dict[str, Any] = {"security": [{"token": []}]} if token else {}
    schemes = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if token else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "statewise", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, **schemes},
        **secured,
    }


def _of_model(model: Hosted, schemas: dict[str, Any]) -> dict[str, Any]:
    base, paths = f"/v1/models/{model.name}", dict[str, Any]()

    def named(*kinds: type[BaseModel]) -> list[Any]:
        """References to ``kinds``, whose schemas are the model's own."""
        found, whole = models_json_schema(
            [(kind, "validation") for kind in kinds], ref_template=f"#/components/schemas/{model.name}.{{model}}"
        )
        schemas.update({f"{model.name}.{name}": schema for name, schema in whole.get("$defs", {}).items()})
        return [found[kind, "validation"] for kind in kinds]

    for operation in model.operations.values():
        asked, answer = named(operation.asked, operation.answer)
        paths[f"{base}/{operation.name}"] = {"post": _told(operation.summary, model, asked, answer)}
    if model.streaming is not None:
        asked, opened, said, kept, opening = named(model.streaming.stepped, Opened, Said, Kept, Open)
        paths[f"{base}/streams"] = {
            "post": _told("Open a stream.", model, opening, opened, status="201"),
            "get": _said("A stream by websocket, a new one: docs/serve.md says how.", "any") | {"tags": [model.name]},
        }
        paths[f"{base}/streams/{{stream}}"] = {
            "parameters": [STREAM],
            "get": _told("How many steps a stream has read; by websocket the stream itself.", model, None, opened),
            "post": _told("Read steps.", model, asked, said),
            "delete": _told("Close a stream; its state.", model, None, kept),
        }
        paths[f"{base}/streams/{{stream}}/state"] = {
            "parameters": [STREAM],
            "get": _told("The state of a stream.", model, None, kept),
        }
    return paths


def _told(summary: str, model: Hosted, asked: Any, answer: Any, status: str = "200") -> dict[str, Any]:
    body = {} if asked is None else {"requestBody": {"required": True, "content": {JSON: {"schema": asked}}}}
    responses = {status: {"description": "The answer.", "content": {JSON: {"schema": answer}}}, "default": _PROBLEM}
    return {"summary": summary, "tags": [model.name], **body, "responses": responses}


def _said(summary: str, kind: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}} if kind == "text" else {JSON: {"schema": {}}}
    return {
        "summary": summary,
        "responses": {"200": {"description": "The answer.", "content": content}, "default": _PROBLEM},
    }


_PROBLEM = {
    "description": "What is wrong, as RFC 9457 has it.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
