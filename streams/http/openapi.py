"""The OpenAPI 3.1 document: schemas from the models that the code itself decodes with, paths written here."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.http import models
from streams.http.answers import ErrorAnswer
from streams.http.rules import RulesOut
from streams.impact.model import Totals

_MODELS = (
    models.EventIn, models.EventsIn, models.EventsOut, models.SuggestionsOut, models.ReceiptIn, models.ReceiptOut,
    RulesOut, models.TokenIn, models.TokenOut, models.HealthOut, models.ReadyOut, Totals, ErrorAnswer,
)
API_VERSION = "1"  # of the calls under /v1/, not of the program
_REF = "#/components/schemas/{name}"
_Json = dict[str, Any]

_ERRORS: dict[str, str] = {
    "400": "The request has to be changed before it can succeed.",
    "401": "No valid key or token. Unknown and forbidden look the same.",
    "413": "The body is over a limit, counted after decompression.",
    "429": "A rate limit is reached; see Retry-After.",
    "503": "The event log did not acknowledge, or too much is under way: nothing is promised. Send the same, with the "
    "same ids, later; see Retry-After.",
}


def openapi_document() -> bytes:
    """The document as JSON."""
    _, schemas = msgspec.json.schema_components(_MODELS, ref_template=_REF)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Avert",
            "version": API_VERSION,
            "description": "Send what a visitor does; read what to suggest to him. Times are ms since the epoch.",
        },
        "paths": _paths(),
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }
    return msgspec.json.encode(document)


_SECURITY: _Json = {
    "writeKey": {
        "type": "apiKey", "in": "header", "name": "X-Write-Key",
        "description": "Public. Also as `?key=`, as Bearer, or as the user name of Basic authentication.",
    },
    "visitorToken": {
        "type": "http", "scheme": "bearer",
        "description": "Opens one visitor's suggestions. Also as `X-Visitor-Token`, or as `?token=`.",
    },
    "serverKey": {"type": "http", "scheme": "bearer", "description": "Secret: only from the site's own servers."},
}


def _paths() -> _Json:
    return {
        "/v1/events": {"post": {
            "operationId": "sendEvents",
            "summary": "Send events: one, a list, or an object with `events`. gzip is understood.",
            "security": [{"writeKey": []}, {"serverKey": []}],
            "parameters": [
                _query("wait", {"type": "integer", "minimum": 0, "maximum": 1000},
                       "Wait up to so many ms until the events are processed, and answer with the suggestions."),
                _query("lang", {"type": "string"}, "Language of the suggestions, with `wait`."),
            ],
            "requestBody": _body({"oneOf": [
                _ref("EventIn"), {"type": "array", "items": _ref("EventIn"), "maxItems": 500}, _ref("EventsIn"),
            ]}),
            "responses": {"202": _answer("EventsOut", "In the log."), **_errors("400", "401", "413", "429", "503")},
        }},
        "/v1/suggestions": {"get": {
            "operationId": "getSuggestions",
            "summary": "What may be shown to a visitor now; empty when there is nothing, or no consent, or no cache.",
            "security": [{"visitorToken": []}, {"serverKey": []}],
            "parameters": _READER,
            "responses": {"200": _answer("SuggestionsOut", "Highest priority first."), **_errors("400", "401", "429")},
        }},
        "/v1/suggestions/stream": {"get": _stream()},
        "/v1/receipts": {"post": {
            "operationId": "sendReceipt",
            "summary": "Tell that a suggestion was shown, clicked or dismissed.",
            "security": [{"visitorToken": []}, {"serverKey": []}],
            "requestBody": _body(_ref("ReceiptIn")),
            "responses": {"202": _answer("ReceiptOut", "In the log."), **_errors("400", "401", "413", "429", "503")},
        }},
        "/v1/tokens": {"post": {
            "operationId": "issueToken",
            "summary": "A token for a visitor whom the site's own server knows.",
            "security": [{"serverKey": []}],
            "requestBody": _body(_ref("TokenIn")),
            "responses": {"200": _answer("TokenOut", "The token."), **_errors("400", "401", "413", "429")},
        }},
        "/v1/impact": {"get": _impact()},
        "/avert.js": {"get": {
            "operationId": "snippet", "summary": "The script for pages: docs/snippet.md.", "security": [],
            "responses": {
                "200": {"description": "JavaScript, with an ETag; gzip is spoken", "content": {"text/javascript": {}}},
                "304": {"description": "Not modified."},
            },
        }},
        "/v1/rules": {"get": {
            "operationId": "getRules",
            "summary": "Which rules are in force, since when, in how many workers.",
            "security": [{"serverKey": []}],
            "responses": {"200": _answer("RulesOut", "As the workers say."), **_errors("401", "429", "503")},
        }},
        "/healthz": {"get": _probe("health", "HealthOut", "The process lives.")},
        "/readyz": {"get": _probe("ready", "ReadyOut", "Events can be taken: Kafka can be reached.", "503")},
        "/openapi.json": {"get": {
            "operationId": "openapi", "summary": "This document.", "security": [],
            "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {}}}},
        }},
    }


def _impact() -> _Json:
    return {
        "operationId": "getImpact",
        "summary": "What was counted: exposed visitors, outcomes and money by rule and arm, exact.",
        "description": "Absolute totals since the beginning; docs/proof.md says what is counted. Sums of squares are "
        "whole numbers beyond 64 bits.",
        "security": [{"serverKey": []}],
        "responses": {"200": _answer("Totals", "The totals."), **_errors("401", "429", "503")},
    }


def _stream() -> _Json:
    return {
        "operationId": "streamSuggestions",
        "summary": "The same as server-sent events: the whole list, now and each time that it changes.",
        "description": "`event: suggestions`, `data`: the object that /v1/suggestions answers with, `id`: its "
        "hash. A client that comes back with Last-Event-ID is sent nothing until the list is another. Comments keep "
        "the connection alive. It ends when the token does.",
        "security": [{"visitorToken": []}, {"serverKey": []}],
        "parameters": [*_READER, {
            "name": "Last-Event-ID", "in": "header", "schema": {"type": "string"},
            "description": "The id of the last event that was received.",
        }],
        "responses": {
            "200": {"description": "Until somebody ends it.", "content": {"text/event-stream": {}}},
            "204": {"description": "The browser refuses tracking (Sec-GPC): nothing will ever come."},
            **_errors("400", "401", "429", "503"),
        },
    }


def _probe(name: str, model: str, text: str, *other: str) -> _Json:
    answers = {status: _answer(model, text) for status in ("200", *other)}
    return {"operationId": name, "summary": text, "security": [], "responses": answers}


def _ref(name: str) -> _Json:
    return {"$ref": _REF.format(name=name)}


def _query(name: str, schema: _Json, text: str) -> _Json:
    return {"name": name, "in": "query", "schema": schema, "description": text}


_READER = [
    {**_query("visitor", {"type": "string", "minLength": 1, "maxLength": 128}, "Whose."), "required": True},
    _query("session", {"type": "string"}, "Only those of this session."),
    _query("placement", {"type": "string"}, "Only those for this place on the page."),
    _query("lang", {"type": "string"}, "The language wanted; otherwise Accept-Language."),
]


def _body(schema: _Json) -> _Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _answer(model: str, text: str) -> _Json:
    return {"description": text, "content": {"application/json": {"schema": _ref(model)}}}


def _errors(*statuses: str) -> _Json:
    return {status: _answer("ErrorAnswer", _ERRORS[status]) for status in statuses}
