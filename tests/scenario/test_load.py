# SPDX-License-Identifier: MIT
"""The load generator reports the truth about an engine whose behaviour is known."""
import asyncio
import json
import signal
import subprocess
import time

import pytest

from support.engine import chunk, well_behaved
from support.program import binary, run
from support.waiting import wait_for


def load(engine, *tenants, duration=1, warmup=0, cooldown=1):
    """The last line of the load process, with its tenants by name."""
    args = [a for t in tenants for a in ("--tenant", t)]
    done = run("__load", "--url", engine.url, "--model", "m", "--duration", duration, "--warmup", warmup,
               "--cooldown", cooldown, *args)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["phase"] == "done"
    result["tenants"] = {t["name"]: t for t in result["tenants"]}
    for t in result["tenants"].values():
        assert t["scheduled"] == t["ok"] + t["refused"] + t["failed"] + t["unfinished"]
        assert t["n"] == t["scheduled"]
    return result


def after(seconds, then=well_behaved):
    async def behaviour(request, reply):
        await asyncio.sleep(seconds)
        await then(request, reply)
    return behaviour


def test_the_time_to_the_first_token_is_the_engine_s(engine):
    engine.behaviour = after(0.2)
    t = load(engine, "a:arrival=constant,rate=20")["tenants"]["a"]
    assert t["ok"] == t["scheduled"] and 19 <= t["ok"] <= 20
    assert 200 <= t["p50_ms"] < 300
    assert t["tokens"] == pytest.approx(3 * 0.8 * 20, abs=7), "tokens of the measured second only"


def test_the_first_token_is_the_first_that_is_not_empty(engine):
    async def role_first(request, reply):
        await reply.start_stream()
        await reply.event(chunk("", chat=False))
        await asyncio.sleep(0.3)
        await reply.event(chunk("word", chat=False))
        await reply.event("[DONE]")
        await reply.finish()

    engine.behaviour = role_first
    t = load(engine, "a:arrival=constant,rate=10")["tenants"]["a"]
    assert 300 <= t["p50_ms"] < 400


def test_requests_go_out_by_the_plan_and_not_by_the_answers(engine):
    """An engine that stalls for a second delays whatever was planned meanwhile, and that is what is measured."""
    loop_free_at = []

    async def stalls_once(request, reply):
        now = asyncio.get_running_loop().time()
        loop_free_at.append(now) if not loop_free_at else None
        await asyncio.sleep(max(0, loop_free_at[0] + 1 - now))
        await well_behaved(request, reply)

    engine.behaviour = stalls_once
    t = load(engine, "a:arrival=constant,rate=50", duration=1)["tenants"]["a"]
    assert t["ok"] == t["scheduled"] and 48 <= t["ok"] <= 50
    assert 400 <= t["p50_ms"] <= 700, "half of them waited longer than half a second"


def test_the_requests_say_what_they_should(engine):
    load(engine, "quiet:arrival=constant,rate=5,in=32,out=9,key=sk-1", duration=1)
    request = engine.requests[0]
    body = request.json()
    assert request.header("x-tenant-id") == "quiet" and request.header("authorization") == "Bearer sk-1"
    assert body["max_tokens"] == 9 and body["stream"] and body["ignore_eos"] and body["model"] == "m"
    assert body["stream_options"] == {"include_usage": True}
    assert 32 * 4 <= len(body["prompt"]) <= 32 * 4 + 20
    prompts = {r.json()["prompt"][:16] for r in engine.requests}
    assert len(prompts) == len(engine.requests), "two prompts begin alike, so that a cache would help"


async def error_event(request, reply):
    await reply.start_stream()
    await reply.event(chunk("word", chat=False))
    await reply.event({"error": {"message": "out of blocks", "type": "server_error"}})
    await reply.finish()


async def nothing(request, reply):
    await reply.start_stream()
    await reply.event("[DONE]")
    await reply.finish()


async def no_end(request, reply):
    await reply.start_stream()
    await reply.event(chunk("word", chat=False))
    await reply.finish()


async def cut(request, reply):
    await reply.start_stream()
    await reply.event(chunk("word", chat=False))
    reply.cut()


async def refuses_the_request(request, reply):
    await reply.json({"error": {"message": "no such model"}}, status=404)


@pytest.mark.parametrize("behaviour, reason", [
    (error_event, "out of blocks"), (nothing, "without a single token"), (no_end, "[DONE]"), (cut, ""),
    (refuses_the_request, "HTTP 404: no such model")])
def test_an_answer_that_is_not_whole_is_a_failure(engine, behaviour, reason):
    engine.behaviour = behaviour
    t = load(engine, "a:arrival=constant,rate=10", duration=1)["tenants"]["a"]
    assert t["failed"] == t["scheduled"] > 5
    assert reason in t["failure"]
    assert t["p50_ms"] is None, "failures count as worst, and not as nothing"


@pytest.mark.parametrize("status", [429, 503])
def test_a_refused_request_backs_off(engine, status):
    async def refuse(request, reply):
        await reply.json({"error": {"message": "later"}}, status=status)

    engine.behaviour = refuse
    t = load(engine, "a:arrival=closed,outstanding=3", duration=1)["tenants"]["a"]
    assert t["refused"] == t["scheduled"]
    assert 15 <= t["refused"] <= 33, "three at a time, ten times a second each"


def test_what_is_not_answered_at_the_end_is_unfinished_and_the_worst(engine):
    async def every_other_hangs(request, reply):
        if request.number % 2:
            await asyncio.sleep(3600)
        await well_behaved(request, reply)

    engine.behaviour = every_other_hangs
    r = load(engine, "a:arrival=constant,rate=20", duration=1, cooldown=0.5)
    t = r["tenants"]["a"]
    assert abs(t["ok"] - t["unfinished"]) <= 1 and t["failed"] == 0
    assert t["p90_ms"] is None and t["max_ms"] is None
    assert r["elapsed_s"] == pytest.approx(1.5, abs=0.3)


def test_tenants_do_not_share_connections_and_the_bound_is_told(engine):
    engine.behaviour = after(3600)
    r = load(engine, "a:arrival=constant,rate=100,outstanding=7", "b:arrival=closed,outstanding=300", cooldown=0)
    assert r["tenants"]["a"]["scheduled"] == 7
    assert r["tenants"]["a"]["held_back"] > 80
    assert r["tenants"]["b"]["unfinished"] == 300
    assert engine.connections == 307, "each request has a connection at once"


def test_when_the_load_itself_is_late_its_samples_and_its_lag_say_so(engine):
    child = subprocess.Popen([binary(), "__load", "--url", engine.url, "--model", "m", "--duration", "2", "--cooldown", "1",
                              "--tenant", "a:arrival=constant,rate=50"], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(engine.requests) > 5, "the load runs")
    child.send_signal(signal.SIGSTOP)
    time.sleep(0.6)
    child.send_signal(signal.SIGCONT)
    result = json.loads(child.communicate(timeout=20)[0].splitlines()[-1])
    t = result["tenants"][0]
    assert t["ok"] == t["scheduled"] and 98 <= t["ok"] <= 100, "what was due meanwhile was sent all the same"
    assert result["lag_max_ms"] >= 500
    assert t["max_ms"] >= 500, "the time counts from the planned instant"
