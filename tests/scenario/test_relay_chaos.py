# SPDX-License-Identifier: MIT
"""Clients and an engine that do whatever comes to mind: nothing is lost, given twice, or left behind.

KW_SEED=N repeats a run; the failure names the seed.
"""
import asyncio
import json
import os
import random
import threading

from support.engine import USAGE, chunk
from support.relay import CHAT, DONE, chat, data_of, lines_of, metric, posts
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes

CLIENTS, REQUESTS = 12, 25


def engine_whims(rng):
    """Answers in every way, right and wrong, with pauses anywhere."""
    async def pause():
        await asyncio.sleep(rng.choice([0, 0, 0, 0.005, 0.05, 0.4]))

    async def events(request, reply):
        await reply.start_stream()
        for i in range(rng.randrange(6)):
            await pause()
            await reply.event(chunk(rng.choice(["", "a", "b" * 3000]), usage=rng.choice([None, USAGE])))
        how = rng.randrange(8)
        if how == 0:
            await reply.event({"error": {"message": "boom", "code": 500}})
        elif how == 1:
            return reply.cut()
        elif how == 2:
            await reply.raw(b"zz\r\n")
            reply.keep = False
            return
        if how > 2:
            await reply.piece(DONE)
        await reply.finish()

    async def whole(request, reply):
        await pause()
        how = rng.randrange(6)
        if how == 0:
            await reply.json({"error": {"message": "no"}}, rng.choice([400, 429, 500, 503]))
        elif how == 1:
            await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
            await pause()
            reply.cut()
        elif how == 2:
            reply.cut()
        else:
            await reply.json({"choices": [], "usage": USAGE})
        reply.keep = reply.keep and rng.random() < 0.7

    async def either(request, reply):
        await pause()
        await rng.choice([events, events, whole] if request.json().get("stream") else [whole, whole, whole, events])(request, reply)
    return posts(either)


def check(response, body):
    """A whole stream ends with [DONE] or with an error, and says one of them once."""
    if response.status != 200 or not response.complete or "event-stream" not in response.header("content-type"):
        return
    said = data_of(body)
    ends = [e for e in said if e == "[DONE]" or "error" in e]
    assert len(ends) == 1 and said[-1] is ends[0], body[-500:]


def one_connection(port, rng):
    with Connection(port) as c:
        for _ in range(rng.choice([1, 1, 2, 3])):
            body = json.dumps(chat(stream=rng.random() < 0.7)).encode()
            body = rng.choice([body] * 9 + [b"{", b'{"model":"x"}', body[:-1]])
            whole = request_bytes("POST", rng.choice([CHAT] * 9 + ["/v1/completions", "/sleep"]),
                                  {"X-Tenant-ID": rng.choice("abc")}, body)
            c.send(whole[:rng.randrange(len(whole))] if rng.random() < 0.1 else whole)
        how = rng.randrange(6)
        if how == 0:
            return c.reset()
        if how == 1:
            return None
        c.sock.settimeout(rng.choice([0.001, 0.01, 0.1]) if how == 2 else 1.5)
        response = c.response()
        check(response, response.body)


def client(port, rng, failures):
    for _ in range(REQUESTS):
        try:
            one_connection(port, rng)
        except (EOFError, OSError):
            pass  # cut off, or tired of waiting
        except Exception as e:
            failures.append(e)


def test_everything_that_was_taken_is_given_back(engine, gateway, tmp_path):
    seed = int(os.environ.get("KW_SEED", random.randrange(1 << 30)))
    path = tmp_path / "access.jsonl"
    engine.behaviour = engine_whims(random.Random(seed))
    g = gateway(engine, access_log=str(path), model={"max_in_flight": 4}, http={"body_s": 0.3, "head_s": 0.3},
                tenants=[{"id": "c", "max_concurrent_requests": 2, "max_concurrent_requests_action": "queue"},
                         {"id": "b", "queue_requests": 2}],
                timeouts={"first_token_s": 0.3, "no_progress_s": 0.3, "total_s": 1, "head_commit_after_s": 0.1, "keepalive_s": 0.1})
    failures = []
    threads = [threading.Thread(target=client, args=(g.port, random.Random(seed + i), failures)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, f"KW_SEED={seed}: {failures[0]!r}"
    where = f"KW_SEED={seed}"

    for name in ("kvwarden_in_flight", "kvwarden_queue_depth", "kvwarden_http_buffered_bytes"):
        wait_for(lambda: metric(g.port, name) == 0, f"{name} is 0; {where}")
    wait_for(lambda: metric(g.port, "kvwarden_http_connections") == 1, f"no connection is left; {where}")
    wait_for(lambda: engine.in_flight == 0, f"the engine is free; {where}")
    status = ask(g.port, "GET", "/kvwarden/status").json()
    assert all(t["usage"]["active_requests"] == 0 for t in status["tenants"].values()), where
    total = status["metrics"]["total_requests"]
    wait_for(lambda: len(lines_of(path)) == total, f"one line of the access log for each of {total} requests; {where}")

    by_number = {}
    for d in g.decisions():
        if "n" in d:
            by_number.setdefault(d["n"], []).append(d)
    for n, told in by_number.items():
        names = [d["event"] for d in told]
        ends = [d for d in told if d["event"] in ("finish", "abort")]
        what = f"{where}: request {n}: {names}"
        assert names.count("arrive") <= 1 and names.count("grant") <= 1 and names.count("first_token") <= 1, what
        if "grant" in names:
            assert len(ends) == 1 and ends[0]["verdict"] != "dequeued", what
        elif "arrive" in names:
            assert (len(ends) == 1 and ends[0]["verdict"] == "dequeued") or "reject" in names, what
        else:
            assert not ends, what
