"""Writes the OpenAPI 3.1 document from the routes: operations from their handlers, schemas from msgspec.

Litestar's own generator loses discriminators, closed objects and docstrings of structs; msgspec's does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final, cast, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import UNSET, Struct

from segment_copilot.api.http.etags import ETAG
from segment_copilot.api.http.idempotency import HEADER, MAX_KEY_LENGTH, REPLAYED, repeats
from segment_copilot.api.http.parameters import Parameter, given_type, parameters_of
from segment_copilot.api.http.problems import MEDIA_TYPE, Problem, status_of
from segment_copilot.api.http.routes import Route, route_of
from segment_copilot.api.http.scopes import scope_of
from segment_copilot.copilot.stream.protocol import add_common
from segment_copilot.copilot.stream.run_events import Event
from segment_copilot.language import Definition, language_components

VERSION: Final = "0.1.0"
"""Of the document, as `info.version` is meant: the release that it is part of. What runs is told by `--version`."""

EXAMPLES_FILE: Final = Path(__file__).with_name("examples.json")
"""Operation id → {parameters, request, answer}, recorded from a running service by `make examples`."""

REFERENCE: Final = "#/components/schemas/{name}"
DEFINITION: Final = {"$ref": REFERENCE.format(name="Definition")}
"""`extra_json_schema` of a field that takes a definition as raw JSON."""

NAMED_UNIONS: Final[Mapping[str, Any]] = {"CopilotEvent": Event}
"""Unions, beside the language's, that get a component of their own, so that generated clients name them."""

TAGS: Final[Mapping[str, str]] = {
    "segments": "Saved audiences: preview, save, compute, read the members.",
    "snapshots": "Members frozen at an instant: read, compared, exported.",
    "exports": "Files of members, to fetch.",
    "explorer": "Users one at a time: who they are, what they did, their segments and why; what an event would change.",
    "analytics": "Segments and events in numbers, and what is used.",
    "copilot": "An audience in words becomes a draft; answers stream.",
    "ingestion": "Events and traits, one at a time or in batches.",
    "identity": "Ids that are one person's.",
    "erasure": "People are forgotten, and it is proved.",
    "schemas": "What event types look like: declare it, infer it, hold events against it.",
    "catalog": "What a definition may refer to, as declared and as seen, with the values.",
    "activations": "Where members are sent.",
    "webhooks": "Your servers, told of what becomes of segments; what was sent, and sending it again.",
    "sessions": "Short tokens for browsers and apps, in exchange for a key.",
    "keys": "Keys that speak for the tenant, and what each may do.",
    "health": "For probes; no key needed.",
}
DESCRIPTION: Final = """Describe an audience in words; get a contact segment that is valid, counted, explained and ready to save.

Every path is served with and without its trailing slash, never by a redirect. Every failure is a problem
(RFC 9457, `application/problem+json`) with a stable `code`; `errors` says what is wrong and where, as RFC 6901
pointers into the body. Every answer carries `X-Request-Id`; with a credential, `RateLimit` and `RateLimit-Policy` say how
many requests are left in this minute. A POST with an `Idempotency-Key` is done once, and answered alike for a day, with
`Idempotency-Replayed: true`. `x-scope` of an operation is the scope that its credential needs."""

_SHOWN: Final = ("application/json", "text/event-stream", "text/csv")
"""Media types that an example is shown of."""

_PROBLEMS: Final[Mapping[int, str]] = {
    400: "The body, a parameter or the definition has mistakes.",
    401: "No key, or one that does not exist.",
    403: "The key may not do this.",
    404: "Nothing of that id in this tenant.",
    408: "The body did not arrive in time.",
    409: "The request contradicts what is stored.",
    410: "It was here and is no more.",
    412: "If-Match named another version.",
    413: "The body is too large.",
    415: "The body is not declared as what this route reads.",
    416: "The file ends before the range begins; Content-Range tells its size.",
    422: "The Idempotency-Key came with another request.",
    429: "Too much at once, or in this minute; see Retry-After.",
    500: "Our mistake; it was logged under the request id.",
    503: "A store does not answer; see Retry-After.",
    504: "The query took too long.",
}


def document(app: Litestar) -> dict[str, Any]:
    """Return the whole document of *app* as plain JSON values; the same for the same code."""
    return msgspec.json.decode(msgspec.json.encode(_document(app)))


def _document(app: Litestar) -> dict[str, Any]:
    operations = list(_operations(app))
    schemas = _Schemas(operations)
    examples: dict[str, dict[str, Any]] = msgspec.json.decode(EXAMPLES_FILE.read_bytes())
    paths: dict[str, dict[str, Any]] = {}
    for operation in sorted(operations, key=lambda operation: (operation.path, operation.method)):
        paths.setdefault(operation.path, {})[operation.method.lower()] = _with_examples(
            _operation(operation, schemas), examples
        )
    used = {tag for operation in operations for tag in operation.handler.resolve_tags()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "segment-copilot",
            "version": VERSION,
            "description": DESCRIPTION,
            "contact": {"name": "segment-copilot"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document was read"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "security": [{"apiKey": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS.items()},
            "responses": {f"Problem{status}": _problem(status) for status in _PROBLEMS},
            "securitySchemes": {
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`ApiKey sk_…`, `ApiKey mk_…`, or `ApiKey pk_…` to open a session",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The same key as `Bearer sk_…`, a session's token, or that of a person who logged in (OIDC)",
                },
                "link": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "A signed token that is part of an address given out before, and opens that alone",
                },
            },
        },
    }


class _Operation(Struct, frozen=True):
    path: str
    method: str
    handler: HTTPRouteHandler

    @property
    def body(self) -> Any:
        """The type of the body; None where none is read."""
        field = self.handler.parsed_data_field
        if field is None:
            return None
        return given_type(field) if field.is_optional else field.raw

    @property
    def needs_body(self) -> bool:
        field = self.handler.parsed_data_field
        return field is not None and not field.is_optional

    @property
    def answer(self) -> Any:
        """The type that the handler returns, without the response around it; None for no content."""
        if self.route.file:
            return None
        annotation = self.handler.parsed_return_field.annotation
        if get_origin(annotation) is Response:
            annotation = get_args(annotation)[0]
        return None if annotation is type(None) else annotation

    @property
    def route(self) -> Route:
        return route_of(self.handler)


def _operations(app: Litestar) -> Iterator[_Operation]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        path = route.path_format
        if path.startswith("/api/") and not path.endswith(".json"):
            path += "/"
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS" and handler.resolve_include_in_schema():
                yield _Operation(path, method, handler)


class _Schemas:
    """The schemas of every type the operations use, by one call, so that a type has one component."""

    def __init__(self, operations: Iterable[_Operation]) -> None:
        types: list[Any] = [Problem, Definition]
        for operation in operations:
            types += [part for part in (operation.body, operation.answer) if part is not None]
            types += [stream] if (stream := operation.route.stream) is not None else []
        unions = list(NAMED_UNIONS.values())
        found, self.components = msgspec.json.schema_components([*types, *unions], ref_template=REFERENCE)
        named = dict(zip(NAMED_UNIONS, found[len(types) :], strict=True))
        self._unions = named
        tidy = {name: self._tidy(schema) for name, schema in self.components.items()} | named
        tidy |= language_components(REFERENCE)
        add_common(tidy)
        bodies = [found[types.index(operation.body)] for operation in operations if operation.body is not None]
        for name in _reached(bodies, tidy):
            tidy[name] = _told_defaults(tidy[name])
        _let_results_be_sparse(operations, tidy)
        self.components = dict(sorted(tidy.items()))
        self._by_type = {repr(type_): self._tidy(schema) for type_, schema in zip(types, found, strict=False)}

    def of(self, type_: Any) -> Any:
        return self._by_type[repr(type_)]

    def _tidy(self, schema: Any) -> Any:
        """Refer to named unions and to definitions, and leave out what msgspec says and no reader needs."""
        for name, union in self._unions.items():
            if schema == union:
                return {"$ref": REFERENCE.format(name=name)}
        if isinstance(schema, list):
            return [self._tidy(item) for item in cast("list[Any]", schema)]
        if not isinstance(schema, dict):
            return schema
        tidy = {key: self._tidy(value) for key, value in cast("dict[str, Any]", schema).items()}
        if tidy.get("required") == []:
            del tidy["required"]
        if tidy.get("properties", {}).get("definition") == {"type": "object"}:  # of a draft, which holds plain JSON
            tidy["properties"] = tidy["properties"] | {"definition": DEFINITION}
        return tidy


def _let_results_be_sparse(operations: Iterable[_Operation], components: dict[str, Any]) -> None:
    """Let the results of a list that `fields` narrows lack some fields: a schema cannot know what was asked for."""
    for operation in operations:
        for parameter in parameters_of(operation.handler):
            if parameter.record is None:
                continue
            name = parameter.record.__name__
            whole, sparse = components[name], f"Sparse{name}"
            components[sparse] = {
                "title": sparse,
                "description": f"The fields of a {name} that `fields` asked for.",
                "type": "object",
                "properties": whole["properties"],
                "minProperties": 1,
            }
            items = [{"$ref": REFERENCE.format(name=one)} for one in (name, sparse)]
            components[operation.answer.__name__]["properties"]["results"]["items"] = {"anyOf": items}


def _reached(schemas: Iterable[Any], components: Mapping[str, Any]) -> set[str]:
    """Return the names of the components that *schemas* refer to, at whatever depth."""
    reached = set[str]()
    waiting = list(schemas)
    while waiting:
        here = waiting.pop()
        if isinstance(here, list):
            waiting += cast("list[Any]", here)
        if not isinstance(here, dict):
            continue
        schema = cast("dict[str, Any]", here)
        waiting += schema.values()
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if name and name not in reached:
            reached.add(name)
            waiting.append(components[name])
    return reached


def _told_defaults(schema: Any) -> Any:
    """Tell a default in words: a generator of clients makes a field with a `default` one that must be sent."""
    match schema:
        case dict():
            here = cast("dict[str, Any]", schema)
            fields = {name: _told_defaults(value) for name, value in here.items() if name != "default"}
            if isinstance(here.get("properties"), dict):  # one of them may be called so
                fields["properties"] = {name: _told_defaults(value) for name, value in here["properties"].items()}
            default = here.get("default")
            if default is not None and not isinstance(default, dict):
                told = f"Default: {msgspec.json.encode(default).decode()}."
                fields["description"] = (
                    f"{fields['description'].rstrip('.')}. {told}" if "description" in fields else told
                )
            return fields
        case list():
            return [_told_defaults(item) for item in cast("list[Any]", schema)]
        case _:
            return schema


def _operation(operation: _Operation, schemas: _Schemas) -> dict[str, Any]:
    handler = operation.handler
    summary, _, description = cleandoc(handler.fn.__doc__ or "").partition("\n\n")
    entry: dict[str, Any] = {
        "operationId": handler.operation_id or handler.handler_name,
        "summary": handler.summary or summary,
        "tags": sorted(handler.resolve_tags()),
    }
    paragraphs = [summary] * bool(handler.summary) + [_without_raises(description)]
    entry["description"] = "\n\n".join(paragraph for paragraph in paragraphs if paragraph) or summary
    parameters = [_parameter(parameter) for parameter in parameters_of(handler)]
    if repeats(handler, operation.method):
        parameters.append(dict(_IDEMPOTENCY_KEY))
    if parameters:
        entry["parameters"] = parameters
    if (scope := scope_of(handler, operation.path, operation.method)) is not None:
        entry["x-scope"] = scope
    if operation.body is not None:
        content = {"application/json": {"schema": schemas.of(operation.body)}}
        entry["requestBody"] = {"required": operation.needs_body, "content": content}
    elif bodies := operation.route.bodies:
        entry["requestBody"] = {"required": True, "content": dict(bodies)}
    entry["responses"] = _responses(operation, schemas)
    for status, answer in entry["responses"].items():
        if names := _common_headers(operation, int(status)):
            answer["headers"] = answer.get("headers", {}) | {
                name: {"$ref": f"#/components/headers/{name}"} for name in names
            }
    if operation.route.public:
        entry["security"] = []
    elif operation.route.link:
        entry["security"] = [{"apiKey": []}, {"bearer": []}, {"link": []}]
    return entry


def _with_examples(entry: dict[str, Any], examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Put what was recorded of an operation beside the schemas of its parameters, its body and its answer."""
    recorded = examples.get(entry["operationId"], {})
    for parameter in entry.get("parameters", []):
        if parameter["name"] in (values := recorded.get("parameters", {})):
            parameter["example"] = values[parameter["name"]]
    bodies = [entry["requestBody"]] if "requestBody" in entry else []
    answers = [answer for status, answer in entry["responses"].items() if status.startswith("2")]
    for part, described in (("request", bodies), ("answer", answers)):
        for media, content in (each for body in described for each in body.get("content", {}).items()):
            if part in recorded and media.startswith("text/csv") == isinstance(recorded[part], str) and media in _SHOWN:
                content["example"] = recorded[part]
    return entry


_IDEMPOTENCY_KEY: Final[Mapping[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "description": "Makes this request harmless to repeat: it is done once, and answered alike for 24 hours",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
}


HEADERS: Final[Mapping[str, str]] = {
    "RateLimit": "What is left of the nearest limit: requests, and seconds until it is whole again",
    "RateLimit-Policy": "The limits: requests a minute of the key and of the tenant",
    REPLAYED: "`true` when this answer was given before, to the same request with the same Idempotency-Key",
}
"""Headers that many answers have."""


def _common_headers(operation: _Operation, status: int) -> list[str]:
    if operation.route.public or status >= HTTPStatus.BAD_REQUEST:
        return []  # of problems they stand in `components.responses`
    return [name for name in HEADERS if name != REPLAYED or repeats(operation.handler, operation.method)]


def _without_raises(description: str) -> str:
    return description.partition("Raises:\n")[0].strip()


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = msgspec.json.schema(parameter.type_)
    if parameter.default is not UNSET:
        schema["default"] = parameter.default
    entry: dict[str, Any] = {"name": parameter.name, "in": parameter.place, "schema": schema}
    if parameter.description:
        entry["description"] = parameter.description
    if parameter.is_required:
        entry["required"] = True
    if parameter.record is not None:
        entry |= {"style": "form", "explode": False}
    return entry


def _responses(operation: _Operation, schemas: _Schemas) -> dict[str, Any]:
    handler = operation.handler
    success: dict[str, Any] = {"description": handler.response_description or "Done."}
    if (stream := operation.route.stream) is not None:
        event = schemas.of(stream)
        success["content"] = {"text/event-stream": {"schema": _server_sent(None if stream is str else event)}}
    elif operation.route.file:
        success["content"] = _file(operation)
    elif operation.answer is not None:
        success["content"] = {"application/json": {"schema": schemas.of(operation.answer)}}
    reads_unless_known = any(parameter.name == "If-None-Match" for parameter in parameters_of(handler))
    headers = {header.name: header.description or "" for header in handler.resolve_response_headers()}
    if reads_unless_known:
        headers |= {header.name: header.description or "" for header in ETAG}
    if headers:
        success["headers"] = {
            name: {"description": description, "schema": {"type": "string"}}
            for name, description in sorted(headers.items())
        }
    answers = {str(handler.status_code): success}
    if reads_unless_known:
        answers["304"] = {
            "description": "The caller has it: If-None-Match names its ETag.",
            "headers": success["headers"],
        }
    if operation.route.file:
        part = {"Content-Range": {"description": "Which bytes of how many", "schema": {"type": "string"}}}
        answers["206"] = success | {
            "description": "The part that Range asked for.",
            "headers": success["headers"] | part,
        }
    problems = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _statuses(operation)}
    return answers | problems


def _file(operation: _Operation) -> dict[str, Any]:
    return {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in operation.route.file}


def _server_sent(event: Any) -> dict[str, Any]:
    """Return the schema of one event of a stream; OpenAPI 3.1 has no word for a sequence of them.

    *event* is None where another document describes them.
    """
    data = {"contentMediaType": "application/json", "contentSchema": event} if event is not None else {}
    return {
        "type": "object",
        "description": "One server-sent event; the stream is a sequence of them.",
        "properties": {
            "id": {"type": "string"},
            "event": {"type": "string", "description": "The event's type"},
            "data": {"type": "string"} | data,
        },
        "required": ["data"] if event is None else ["event", "data"],
    }


def _statuses(operation: _Operation) -> list[int]:
    statuses = {400, 500, *(status_of(error) for error in operation.route.problems)}
    if not operation.route.public:
        statuses |= {401, 403, 429, 503}
    if repeats(operation.handler, operation.method):
        statuses |= {409, 422}
    if "{" in operation.path:
        statuses.add(404)
    if operation.body is not None or operation.route.bodies:
        statuses |= {408, 413, 415}
    return sorted(statuses)


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": _PROBLEMS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(name="Problem")}}},
    }
