"""Record and replay against a scripted Messages server: the same bytes, the same results, and no silent pass."""

from __future__ import annotations

import msgspec
import pytest

from evals.cases import choose
from evals.graders.registry import GRADERS
from evals.prices import Budget
from evals.proof.agents import oracle
from evals.proof.stage import MODEL, Stage, open_stage
from evals.results import Report
from evals.running import Plan, grading_of, run
from evals.service import serving
from evals.tapes import NAME, Recorder, Replayer, fingerprint, listening, read_tape

CASES = ["shop-bought-7d-never-wishlist"]


@pytest.fixture
async def recorded(loaded, service, cases, fixtures, tmp_path) -> Report:
    """One case, played by the oracle and recorded into *tmp_path*."""
    grading = grading_of(service, fixtures)
    segments = {tenant: service.workspace(tenant).segments for tenant in grading.truths}
    async with open_stage(grading.truths, segments) as stage:
        return await _record(stage, loaded, choose(cases, CASES), fixtures, tmp_path)


async def _record(stage: Stage, loaded, cases, fixtures, folder) -> Report:
    stage.agent, stage.case = oracle, cases[0]
    recorder = Recorder(stage.url, folder)
    settings = {"copilot_model": "claude", "anthropic_api_key": "sk-secret-key", "claude_model": MODEL}
    async with listening(recorder) as url, serving(loaded, anthropic_base_url=url, **settings) as service:
        plan = Plan(cases=cases, datasets=fixtures, budget=Budget(), origin=recorder.origin)
        return await run(service, plan)


async def replay(loaded, cases, fixtures, folder, **changes) -> tuple[Report, Replayer]:
    replayer = Replayer(folder)
    settings = {"copilot_model": "claude", "anthropic_api_key": "x", "claude_model": MODEL, **changes}
    async with listening(replayer) as url, serving(loaded, anthropic_base_url=url, **settings) as service:
        return await run(service, Plan(cases=cases, datasets=fixtures, budget=Budget(), origin="a tape")), replayer


async def test_a_replay_says_what_was_recorded(recorded, loaded, cases, fixtures, tmp_path):
    found, replayer = await replay(loaded, choose(cases, CASES), fixtures, tmp_path)

    assert recorded.cases[0].passed, recorded.cases[0].graders
    assert found.cases[0].passed, found.cases[0].graders
    assert replayer.stale == 0
    assert replayer.replayed == 3
    before, after = recorded.cases[0].transcript, found.cases[0].transcript
    assert before is not None
    assert after is not None
    assert (after.text, [tool.name for tool in after.tools]) == (before.text, [tool.name for tool in before.tools])
    assert found.cases[0].graders.keys() <= GRADERS.keys()


async def test_a_changed_request_is_stale_and_never_a_pass(recorded, loaded, cases, fixtures, tmp_path):
    found, replayer = await replay(loaded, choose(cases, CASES), fixtures, tmp_path, claude_model="another")

    assert recorded.totals.errors == 0
    assert replayer.stale > 0
    assert not found.cases[0].passed


async def test_a_tape_holds_no_key_and_says_where_it_comes_from(recorded, tmp_path):
    written = (tmp_path / NAME).read_text()
    exchanges = list(read_tape(tmp_path))

    assert recorded.run.origin == "scripted (127.0.0.1)"
    assert "sk-secret-key" not in written
    assert {exchange.origin for exchange in exchanges} == {"scripted (127.0.0.1)"}
    assert all(exchange.status == 200 for exchange in exchanges)


def test_only_the_real_host_is_live(tmp_path):
    assert Recorder("https://api.anthropic.com", tmp_path / "a").origin == "live"
    assert (
        Recorder("https://api.anthropic.com.example.net", tmp_path / "b").origin
        == "scripted (api.anthropic.com.example.net)"
    )


def request(draft: str, *, duration: float = 1.0, said: str = "hi") -> bytes:
    result = msgspec.json.encode(
        {"tool": "propose_segment", "result": {"draft_id": draft, "duration_ms": duration}}
    ).decode()
    blocks = [{"type": "tool_result", "content": result}, {"type": "text", "text": said}]
    return msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": blocks}]})


def test_the_fingerprint_forgets_what_differs_from_run_to_run():
    one, other = "draft_0123456789ab_1", "draft_ba9876543210_1"

    assert fingerprint(request(one))[0] == fingerprint(request(other, duration=2.5))[0]
    assert fingerprint(request(one))[1] == (one,)
    assert fingerprint(request(one))[0] != fingerprint(request(one, said="bye"))[0]


def test_no_tape_is_committed_that_no_live_model_recorded():
    from pathlib import Path  # noqa: PLC0415

    import evals  # noqa: PLC0415

    tapes = list(Path(evals.__file__).parent.rglob(NAME))
    committed = [path for path in tapes if "latest" not in path.parts]
    assert all(exchange.origin == "live" for path in committed for exchange in read_tape(path.parent))
