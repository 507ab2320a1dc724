"""Every request and answer of the document has an example, and the service takes and gives what they show."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from tests.openapi.document import document
from tests.openapi.story import STORY
from tests.openapi.telling import Answer, examples_of, operations_of, shape, tell

pytestmark = pytest.mark.engines

DOCUMENT = document()
OPERATIONS = operations_of(DOCUMENT)
STEPS = [f"{index:02}-{step.operation}" for index, step in enumerate(STORY)]


@pytest.fixture(scope="module")
async def answers(client) -> list[Answer]:
    """What the service answered to the story."""
    return await tell(client, DOCUMENT)


def example_of(content: dict[str, Any]) -> Any:
    (media,) = content.values()
    return media["example"]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    return jsonschema_rs.is_valid(schema | {"components": DOCUMENT["components"]}, value)


def test_the_story_calls_every_operation():
    assert {step.operation for step in STORY} == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_sent_and_answered_has_an_example_that_fits(name):
    described = OPERATIONS[name].described
    shown = [described["requestBody"]] if "requestBody" in described else []
    shown += [answer for status, answer in described["responses"].items() if status.startswith("2")]
    for part in shown:
        for media, content in part.get("content", {}).items():
            if media in {"application/json", "text/event-stream", "text/csv"}:
                assert "example" in content
                assert fits(content["example"], content["schema"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_parameter_of_a_path_has_an_example(name):
    for parameter in OPERATIONS[name].described.get("parameters", []):
        assert "example" in parameter or parameter["in"] != "path"


@pytest.mark.parametrize("step", STEPS)
async def test_the_service_takes_the_example_and_answers_in_its_shape(answers, step):
    answer = answers[STEPS.index(step)]
    operation = OPERATIONS[answer.step.operation]
    documented = operation.described["responses"].get(str(answer.status))
    if answer.step.may_refuse and answer.status == 409:
        return

    assert answer.status < 300, answer.content
    assert documented is not None
    if content := documented.get("content", {}).get("application/json"):
        assert fits(answer.content, content["schema"])
        fresh = examples_of(answers)[answer.step.operation].get("answer")
        assert shape(fresh) == shape(content["example"])
