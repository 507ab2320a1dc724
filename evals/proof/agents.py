"""Agents that play a known part. Each answers as the Messages API would, so the service's whole loop is in the proof."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from evals.cases import Case, Fact
from evals.definitions import SegmentIds, with_ids
from evals.fixtures.rows import AS_OF
from evals.truth import Truth


class Call(Struct, frozen=True):
    """A tool call to make."""

    name: str
    arguments: Mapping[str, Any]


class Reply(Struct, frozen=True):
    """One turn of an agent: calls, or else a text that ends the run."""

    text: str = ""
    calls: tuple[Call, ...] = ()


class Scene(Struct, frozen=True):
    """Holds what an agent knows: the case, what is true, the ids here, and the results of its calls so far by tool."""

    case: Case
    truth: Truth
    segments: SegmentIds
    turn: int
    results: Mapping[str, Any]


Agent = Callable[[Scene], Reply]


def results_of(body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Read a Messages API request: how many turns were answered since the question, and the latest result by tool."""
    turn, results = 0, {}
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        for block in blocks:
            if block["type"] == "tool_result":
                document = json.loads(block["content"])
                results[document["tool"]] = document["result"]
        turn += message["role"] == "assistant" and any(block["type"] == "tool_use" for block in blocks)
    return turn, results


def null(scene: Scene) -> Reply:
    """Apologises, whatever is asked."""
    return Reply(
        "I'm sorry, I can't help with that." if scene.case.language == "en" else "Lo siento, no puedo ayudar con eso."
    )


def echo(scene: Scene) -> Reply:
    """Says the question back."""
    return Reply(scene.case.question)


def oracle(scene: Scene) -> Reply:
    """Does what the case asks for, with the gold definition."""
    steps = _steps(scene)
    if scene.turn < len(steps):
        return Reply(calls=tuple(_filled(call, scene) for call in steps[scene.turn]))
    return Reply(_closing(scene))


def overreaching(scene: Scene) -> Reply:
    """Does more than was asked: one more filter in a draft, and a draft where none was wanted."""
    definition = _gold(scene) or {"logic": "AND", "conditions": []}
    trait = "email_opt_in" if "email_opt_in" in scene.truth.traits else "acepta_correo"
    extra: dict[str, Any] = {"type": "user_property", "property": trait, "operator": "is_true"}
    if trait in json.dumps(definition):  # asked for already
        extra = {"type": "event_count", "event_type": "page_viewed", "operator": "gte", "value": 1, "window_days": 30}
    group = [{"type": "group", "logic": definition["logic"], "conditions": definition["conditions"]}]
    wider = {**definition, "logic": "AND", "conditions": [*(group if definition["conditions"] else []), extra]}
    if scene.turn == 0:
        return Reply(calls=(_proposal(scene, wider),))
    if scene.turn == 1 and "draft_id" in scene.results.get("propose_segment", {}):
        return Reply(
            calls=(Call("display_create_segment_cta", {"draft_id": scene.results["propose_segment"]["draft_id"]}),)
        )
    return Reply(_closing(scene))


def chatty(texts: Mapping[str, str]) -> Agent:
    """Says the oracle's words and does nothing."""
    return lambda scene: Reply(texts.get(scene.case.id, "Here is what you asked for."))


# The oracle's plan


def _gold(scene: Scene) -> dict[str, Any] | None:
    golds = scene.case.expect.gold
    return with_ids(golds[0].definition, scene.segments) if golds else None


def _proposal(scene: Scene, definition: Mapping[str, Any]) -> Call:
    expect = scene.case.expect
    arguments: dict[str, Any] = {
        "name": scene.case.id.replace("-", " ").capitalize()[:80],
        "description": f"Made for: {scene.case.question}"[:500],
        "definition": definition,
    }
    if expect.assumes:
        arguments["assumptions"] = [
            f"I read it as: {expect.gold[0].reading or 'the usual'}." if expect.gold else "A guess."
        ]
    if expect.unmapped:
        arguments["unmapped"] = list(expect.unmapped)
    return Call("propose_segment", arguments)


def _steps(scene: Scene) -> Sequence[Sequence[Call]]:
    expect = scene.case.expect
    match expect.outcome[0]:
        case "draft" if (gold := _gold(scene)) is not None:
            return [[_proposal(scene, gold)], [Call("display_create_segment_cta", {})]]
        case "answer":
            reads = [Call(name.split("|")[0], _arguments(name.split("|")[0], scene)) for name in expect.tools.must]
            draws = [Call(_display(name.split("|")[0]), {}) for name in expect.components]
            return [step for step in (reads, draws) if step]
        case _:
            return []


def _arguments(tool: str, scene: Scene) -> dict[str, Any]:
    expect = scene.case.expect
    given = next((dict(one.match) for one in expect.arguments if tool in one.tool.split("|")), {})
    fact = expect.facts[0] if expect.facts else Fact("events")
    defaults: dict[str, Any] = {}
    match tool:
        case "query_top_events" | "query_event_volume":
            defaults = {"from": fact.start or "2026-06-04", "to": fact.end or AS_OF.isoformat()}
            if tool == "query_event_volume" and fact.event_type:
                defaults["event_type"] = fact.event_type
        case "get_segment_detail":
            defaults = {"segment": fact.segment or scene.case.context.segment or _named(scene)}
        case "preview_segment":
            defaults = {"definition": with_ids(fact.definition, scene.segments)}
        case "list_property_values" if "event_type" in given:
            value = expect.text.must[0].split("|")[0]
            paths = sorted(scene.truth.event_types[given["event_type"]])
            defaults = {
                "property": next(path for path in paths if scene.truth.has_value(given["event_type"], path, value))
            }
        case "get_event_schema":
            told = set(expect.text.must)
            defaults = {"event_type": next(name for name, paths in scene.truth.event_types.items() if told <= paths)}
        case _:
            pass
    return {**defaults, **given}


def _named(scene: Scene) -> str:
    asked = " ".join(turn.content for turn in scene.case.messages)
    return next((name for name in scene.truth.segments if name in asked), scene.truth.segments[0])


def _display(component: str) -> str:
    return {
        "MetricCard": "display_metric_card",
        "SegmentTable": "display_segment_table",
        "EventVolumeChart": "display_event_chart",
        "CreateSegmentCTA": "display_create_segment_cta",
    }[component]


def _filled(call: Call, scene: Scene) -> Call:
    """Fill in what depends on earlier results."""
    results = scene.results
    title = "As asked"
    match call.name:
        case "display_create_segment_cta":
            return Call(call.name, {"draft_id": results["propose_segment"]["draft_id"]})
        case "display_metric_card":
            return Call(
                call.name, {"title": title, "value": results["get_segment_detail"]["member_count"], "unit": "users"}
            )
        case "display_segment_table":
            rows = sorted(results["list_segments"]["segments"], key=lambda row: -(row["member_count"] or 0))
            return Call(call.name, {"title": title, "segment_ids": [row["id"] for row in rows]})
        case "display_event_chart":
            measure = {
                "query_top_events": "event_types",
                "query_event_volume": "events",
                "query_segment_membership_trend": "members",
            }
            return Call(
                call.name, {"title": title, "measure": next(kind for tool, kind in measure.items() if tool in results)}
            )
        case _:
            return call


def _closing(scene: Scene) -> str:
    """Return the last words: what the case must hear, and nothing that no result holds."""
    expect, english = scene.case.expect, scene.case.language == "en"
    kind = expect.outcome[0]
    must = [one.split("|")[0] for one in expect.text.must]
    draft = scene.results.get("propose_segment", {})
    if "draft_id" in draft:
        told = (
            f"The draft matches {draft['count']} of {draft['universe']} users in this workspace. It is not saved yet: the button does that."
            if english
            else f"El borrador reúne a {draft['count']} de {draft['universe']} socios. Todavía no está guardado: para eso está el botón."
        )
        return " ".join([told, *(f"It is about {one}." for one in must)])
    if kind == "clarify":
        options = ", ".join(one.split("|")[0] for one in (*expect.options, *expect.suggest[:2]))
        return f"That is open, and the answer depends on it. What do you mean: {options}? {'; '.join(must)}"
    if kind == "decline":
        instead = f" The nearest that exists: {expect.suggest[0]}." if expect.suggest else ""
        return (
            f"I cannot do that with what this workspace holds. You asked about {' and '.join(must) or 'it'}.{instead}"
        )
    return _answered(scene, must)


def _answered(scene: Scene, must: list[str]) -> str:
    english, told = scene.case.language == "en", list[str]()
    for tool, result in scene.results.items():
        match tool:
            case "get_segment_detail":
                count = result["member_count"]
                told.append(
                    f"It has {count} members: {result['words']}" if english else f"Este segmento es de {count} socios."
                )
            case "preview_segment":
                told.append(f"That is {result['matched_users']} of {result['universe']} users.")
            case "query_event_volume":
                told.append(f"There were {result['total']} of them in that time.")
            case "query_top_events":
                names = [item["event_type"] for item in result["event_types"]]
                told.append(f"The most frequent ones are {', '.join(names)}.")
            case "list_property_values":
                told.append(
                    "The values are " + ", ".join(f"“{_plain(item['value'])}”" for item in result["values"][:12]) + "."
                )
            case _:
                pass
    missing = [one for one in must if one.casefold() not in " ".join(told).casefold()]
    return " ".join([*told, *(f"It is about {one}." for one in missing)]) or "Here it is: see what is drawn above."


def _plain(value: Any) -> str:
    return re.sub(r"[^\w /.-]", " ", str(value))[:40] if "//" not in str(value) else "a link"


AGENTS: Final[Mapping[str, Agent]] = {"oracle": oracle, "null": null, "echo": echo, "overreaching": overreaching}
"""Those that need nothing from another; `chatty` needs the oracle's words."""
