"""The tools, resources and prompts that the conformance suite of MCP calls: what a server of everything would have.

Only what they say is made up. The door, the limits, the protocol and its errors are the service's own.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from segment_copilot.api.mcp.registry import Asking, Document, Offer, Page, Prompt, Registry, Template

IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="

Handler = Callable[[Asking, Document], Awaitable[Document]]


def text(said: str) -> Document:
    return {"type": "text", "text": said}


def embedded(uri: str, said: str, kind: str = "text/plain") -> Document:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": said}}


def form(message: str, **properties: str) -> Document:
    """A question to the person, with fields of these types."""
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": [*properties],
    }
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def sampling(question: str) -> Document:
    """A question to the host's model."""
    params = {"messages": [{"role": "user", "content": text(question)}], "maxTokens": 100}
    return {"method": "sampling/createMessage", "params": params}


ROOTS: Document = {"method": "roots/list", "params": {}}


def required(requests: Document, state: str | None = None) -> Document:
    """A result that asks for input."""
    asked = {"resultType": "input_required", "inputRequests": requests}
    return asked if state is None else {**asked, "requestState": state}


def says(*content: Document) -> Handler:
    """A tool that always says the same."""

    async def call(asking: Asking, arguments: Document) -> Document:
        return {"content": list(content)}

    return call


def asks(requests: Document, state: str | None = None) -> Handler:
    """A tool that asks until every request has its answer, of the kind that was asked for, and then says that it is well."""

    async def call(asking: Asking, arguments: Document) -> Document:
        if any(not fits(asking.answers.get(key), request) for key, request in requests.items()):
            return required(requests, state)
        return {"content": [text("state-ok" if asking.state == state else "state-wrong")]}

    return call


def fits(answer: Document | None, request: Document) -> bool:
    """Whether *answer* is one to *request*."""
    if answer is None:
        return False
    if request["method"] == "roots/list":
        return "roots" in answer
    if request["method"] == "sampling/createMessage":
        return "content" in answer
    content, schema = answer.get("content") or {}, request["params"]["requestedSchema"]
    types = {"string": str, "boolean": bool}
    wanted = {name: types[one["type"]] for name, one in schema["properties"].items()}
    return answer.get("action") == "accept" and all(
        isinstance(content.get(name), kind) for name, kind in wanted.items()
    )


async def two_rounds(asking: Asking, arguments: Document) -> Document:
    """Ask for a name, then for a colour."""
    name = form("Step 1: What is your name?", name="string")
    colour = form("Step 2: What is your favorite color?", color="string")
    if asking.state == "2" and fits(asking.answers.get("step2"), colour):
        return {"content": [text("Done.")]}
    if asking.state == "1" and fits(asking.answers.get("step1"), name):
        return required({"step2": colour}, "2")
    return required({"step1": name}, "1")


async def what_the_host_can(asking: Asking, arguments: Document) -> Document:
    """Ask for what the host says that it can do, and for nothing else."""
    able = {
        "elicitation": {"user_name": form("What is your name?", name="string")},
        "sampling": {"greeting": sampling("Generate a greeting")},
        "roots": {"client_roots": ROOTS},
    }
    wanted = {
        key: one for name, requests in able.items() if name in asking.capabilities for key, one in requests.items()
    }
    return required(wanted) if wanted.keys() - asking.answers.keys() else {"content": [text("Nothing to ask.")]}


async def fail(asking: Asking, arguments: Document) -> Document:
    raise RuntimeError("This tool intentionally returns an error for testing")


async def progress(asking: Asking, arguments: Document) -> Document:
    for done in (0, 50, 100):
        await asking.report(done, f"Completed step {done} of 100")
    return {"content": [text("Done.")]}


NAME = {"user_name": form("What is your name?", name="string")}
OK = {"confirm": form("Please confirm", ok="boolean")}

TOOLS: dict[str, Handler] = {
    "test_simple_text": says(text("This is a simple text response for testing.")),
    "test_image_content": says({"type": "image", "data": IMAGE, "mimeType": "image/png"}),
    "test_audio_content": says({"type": "audio", "data": SOUND, "mimeType": "audio/wav"}),
    "test_embedded_resource": says(embedded("test://embedded-resource", "This is an embedded resource content.")),
    "test_multiple_content_types": says(
        text("Multiple content types test:"),
        {"type": "image", "data": IMAGE, "mimeType": "image/png"},
        embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
    ),
    "test_error_handling": fail,
    "test_tool_with_progress": progress,
    "test_logging_tool": says(text("Nothing is logged to a host.")),
    "test_missing_capability": asks({"question": sampling("Anything?")}),
    "test_streaming_elicitation": asks(NAME),
    "test_input_required_result_elicitation": asks(NAME),
    "test_input_required_result_sampling": asks({"capital_question": sampling("What is the capital of France?")}),
    "test_input_required_result_list_roots": asks({"client_roots": ROOTS}),
    "test_input_required_result_request_state": asks(OK, "kept"),
    "test_input_required_result_tampered_state": asks(OK, "kept"),
    "test_input_required_result_multiple_inputs": asks(
        {**NAME, "greeting": sampling("Generate a greeting"), "client_roots": ROOTS}, "kept"
    ),
    "test_input_required_result_multi_round": two_rounds,
    "test_input_required_result_capabilities": what_the_host_can,
}


def offer(name: str, call: Handler) -> Offer:
    schema = {"type": "object", "properties": {}}
    return Offer({"name": name, "description": f"A fixture: {name}.", "inputSchema": schema}, call)


def page(uri: str, kind: str, **content: str) -> Page:
    async def read(asking: Asking) -> Sequence[Document]:
        return [{"uri": uri, "mimeType": kind, **content}]

    return Page({"uri": uri, "name": uri, "description": "A fixture.", "mimeType": kind}, read)


async def of_template(asking: Asking, uri: str) -> Sequence[Document] | None:
    found = re.fullmatch(r"test://template/([^/]+)/data", uri)
    if found is None:
        return None
    said = f'{{"id":"{found[1]}","templateTest":true,"data":"Data for ID: {found[1]}"}}'
    return [{"uri": uri, "mimeType": "application/json", "text": said}]


def prompt(name: str, write: Callable[[Document], Sequence[Document]], *arguments: str, **more: Any) -> Prompt:
    async def written(asking: Asking, given: Document) -> Document:
        return {"messages": [{"role": "user", "content": one} for one in write(given)]}

    listed = [{"name": one, "description": "A fixture.", "required": True} for one in arguments]
    return Prompt({"name": name, "description": "A fixture.", "arguments": listed}, written, **more)


async def complete(asking: Asking, argument: str, written: str) -> Sequence[str]:
    return [word for word in ("paris", "park", "party", "test") if word.startswith(written)]


async def asking_prompt(asking: Asking, given: Document) -> Document:
    context = form("What context should the prompt use?", context="string")
    if not fits(asking.answers.get("user_context"), context):
        return required({"user_context": context})
    said = asking.answers["user_context"]["content"]["context"]
    return {"messages": [{"role": "user", "content": text(f"Mind {said}.")}]}


FIXTURES = Registry(
    name="fixtures",
    title="Fixtures",
    instructions="For the conformance suite.",
    offers=tuple(offer(name, call) for name, call in sorted(TOOLS.items())),
    pages=(
        page("test://static-binary", "image/png", blob=IMAGE),
        page("test://static-text", "text/plain", text="This is the content of the static text resource."),
    ),
    templates=(
        Template(
            {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"}, of_template
        ),
    ),
    prompts=(
        Prompt({"name": "test_input_required_result_prompt", "description": "A fixture."}, asking_prompt),
        prompt("test_prompt_with_arguments", lambda given: [text(f"arg1='{given['arg1']}', arg2='{given['arg2']}'")], "arg1", "arg2", complete=complete),
        prompt("test_prompt_with_embedded_resource", lambda given: [embedded(given["resourceUri"], "Embedded resource content for testing."), text("Please process the embedded resource above.")], "resourceUri"),
        prompt("test_prompt_with_image", lambda _: [{"type": "image", "data": IMAGE, "mimeType": "image/png"}, text("Please analyze the image above.")]),
        prompt("test_simple_prompt", lambda _: [text("This is a simple prompt for testing.")]),
    ),
)  # fmt: skip
