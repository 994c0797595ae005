# SPDX-License-Identifier: MIT
"""The gateway in front of a real engine: answers, errors and cancellation are the engine's own, and the figures add up."""
import json
import re
import threading
import time

import pytest

from support.waiting import wait_for
from support.wire import ask, stream

CHAT = {"model": "m", "messages": [{"role": "user", "content": "the sea"}], "max_tokens": 8, "ignore_eos": True, "seed": 7,
        "cache_prompt": False, "temperature": 0}
TEXT = {"model": "m", "prompt": "the sea", "max_tokens": 8, "ignore_eos": True, "seed": 7, "cache_prompt": False, "temperature": 0}


def direct(llama, path, body=None):
    """The engine's own answer: (status, body)."""
    port = int(llama.rpartition(":")[2])
    answer = ask(port, "POST" if body else "GET", path, {"Content-Type": "application/json"}, body)
    return answer.status, answer.body


def engine_metric(llama, name):
    return float(re.search(rf"^llamacpp:{name} (\S+)$", direct(llama, "/metrics")[1].decode(), re.M)[1])


def busy_slots(llama):
    return sum(slot["is_processing"] for slot in json.loads(direct(llama, "/slots")[1]))


def metric(program, name, **labels):
    """The sum of the series that have these labels."""
    total = 0.0
    for line in ask(program.port, "GET", "/metrics").body.decode().splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', found[2] or "")).items():
            total += float(found[3])
    return total


def text_of(events):
    """What the events of a chat or completion stream say, and the usage that came with them."""
    text, usage = "", None
    for data in events:
        if data == "[DONE]":
            continue
        event = json.loads(data)
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            text += choice["text"] if "text" in choice else choice["delta"].get("content") or ""
    return text, usage


@pytest.fixture
def program(gateway, llama):
    return gateway(llama)


@pytest.mark.parametrize("path, body", [("/v1/chat/completions", CHAT), ("/v1/completions", TEXT)])
def test_an_answer_is_what_the_engine_says(program, llama, path, body):
    mine, its = (json.loads(b) for b in (ask(program.port, "POST", path, {}, body).body, direct(llama, path, body)[1]))
    assert mine["choices"] == its["choices"] and mine["usage"] == its["usage"]
    assert mine["usage"]["completion_tokens"] == 8
    assert metric(program, "kvwarden_tokens_total", kind="output") == 8
    assert metric(program, "kvwarden_tokens_total", kind="input") == mine["usage"]["prompt_tokens"]


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("path, body", [("/v1/chat/completions", CHAT), ("/v1/completions", TEXT)])
def test_a_stream_says_the_same_with_usage_or_without(program, llama, path, body, asks):
    whole = json.loads(direct(llama, path, body)[1])
    choice = whole["choices"][0]
    body = {**body, "stream": True, **({"stream_options": {"include_usage": True}} if asks else {})}
    connection, response, events = stream(program.port, path, body)
    with connection:
        events = list(events)
    assert response.status == 200 and events[-1] == "[DONE]"
    text, usage = text_of(events)
    assert text == (choice["text"] if "text" in choice else choice["message"]["content"])
    assert usage == (whole["usage"] if asks else None)
    wait_for(lambda: metric(program, "kvwarden_tokens_total", kind="output") == 8, "the tokens are counted")
    assert metric(program, "kvwarden_tokens_total", kind="input") == whole["usage"]["prompt_tokens"]


def test_anthropics_endpoint_passes_too(program):
    body = {"model": "m", "max_tokens": 5, "messages": CHAT["messages"], "ignore_eos": True}
    answer = ask(program.port, "POST", "/v1/messages", {}, body).json()
    assert answer["type"] == "message" and answer["usage"]["output_tokens"] == 5
    connection, response, events = stream(program.port, "/v1/messages", {**body, "stream": True})
    with connection:
        kinds = [json.loads(data)["type"] for data in events]
    # Now and then llama.cpp itself leaves message_start out, without a gateway too (10 of 400 streams).
    assert response.status == 200 and "content_block_delta" in kinds and kinds[-1] == "message_stop"
    wait_for(lambda: metric(program, "kvwarden_tokens_total", kind="output") == 10, "the tokens are counted")


@pytest.mark.parametrize("path, body, status", [
    ("/v1/chat/completions", {"model": "m"}, 400),
    ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": {"type": "odd"}}, 400),
    ("/v1/completions", {"model": "m", "prompt": "x", "grammar": "not a grammar"}, 400),
    ("/v1/completions", {"model": "m", "prompt": "the " * 3000}, 400),
    ("/v1/completions", {"model": "m", "prompt": "the " * 3000, "stream": True}, 400),
    ("/v1/embeddings", {"model": "m", "input": "x"}, 501),
])
def test_the_engines_own_error_comes_through(program, llama, path, body, status):
    answer = ask(program.port, "POST", path, {}, body)
    assert (answer.status, answer.body) == direct(llama, path, body)
    assert answer.status == status
    assert metric(program, "kvwarden_requests_total", status="error") == 1


def test_a_prompt_that_is_too_long_says_by_how_much(program):
    error = ask(program.port, "POST", "/v1/completions", {}, {"model": "m", "prompt": "the " * 3000}).json()["error"]
    assert error["type"] == "exceed_context_size_error" and error["n_prompt_tokens"] > error["n_ctx"]


def test_a_client_that_leaves_its_stream_stops_the_engine(program, llama):
    """Streams only: a JSON answer is made to its end by this version of llama-server, whoever has left."""
    before = engine_metric(llama, "n_decode_total")
    connection, _, events = stream(program.port, "/v1/completions", {**TEXT, "max_tokens": 1900, "stream": True})
    next(iter(events))
    assert busy_slots(llama) == 1
    connection.close()
    wait_for(lambda: not busy_slots(llama), "the engine has stopped")
    assert engine_metric(llama, "n_decode_total") - before < 1500, "it went on to the end"
    wait_for(lambda: metric(program, "kvwarden_in_flight") == 0, "the permit is back")


def test_a_quiet_tenant_is_served_amid_a_flood_and_both_are_counted(gateway, llama):
    program = gateway(llama, model={"max_in_flight": 2})
    statuses = []

    def one(tenant, tokens):
        statuses.append(ask(program.port, "POST", "/v1/completions", {"X-Tenant-ID": tenant}, {**TEXT, "max_tokens": tokens}).status)

    def events(name):
        return [d["tenant"] for d in program.decisions() if d["event"] == name]

    flood = [threading.Thread(target=one, args=("flooder", 200)) for _ in range(12)]
    for thread in flood:
        thread.start()
    wait_for(lambda: len(events("arrive")) == 12, "the flood is in the queue")
    quiet = [threading.Thread(target=one, args=("quiet", 20)) for _ in range(3)]
    for thread in quiet:
        thread.start()
    for thread in flood + quiet:
        thread.join()
    assert statuses == [200] * 15
    wait_for(lambda: len(events("finish")) == 15, "the log has the end of each")
    grants = events("grant")
    assert grants.count("quiet") == 3 and grants[-1] == "flooder", f"quiet had to wait for the flood: {grants}"
    in_flight = most = 0
    for d in program.decisions():
        in_flight += (d["event"] == "grant") - (d["event"] == "finish")
        most = max(most, in_flight)
    assert most == 2 and in_flight == 0
    for tenant, requests, tokens in (("flooder", 12, 200), ("quiet", 3, 20)):
        assert metric(program, "kvwarden_requests_total", tenant=tenant, status="ok", model="m") == requests
        assert metric(program, "kvwarden_tokens_total", tenant=tenant, kind="output") == requests * tokens
        assert metric(program, "kvwarden_queue_wait_seconds_count", tenant=tenant) == requests


def test_the_times_of_the_metrics_are_those_that_a_client_and_the_engine_see(program):
    tokens = 1000
    began = time.monotonic()
    connection, _, events = stream(program.port, "/v1/completions", {**TEXT, "max_tokens": tokens, "stream": True})
    first = timings = None
    with connection:
        for data in events:
            if data == "[DONE]":
                continue
            event = json.loads(data)
            timings = event.get("timings") or timings
            if first is None and any(choice["text"] for choice in event["choices"]):
                first = time.monotonic() - began
    whole = time.monotonic() - began
    wait_for(lambda: metric(program, "kvwarden_tpot_seconds_count") == 1, "the stream is settled")
    ttft = metric(program, "kvwarden_ttft_seconds_sum")
    tpot = metric(program, "kvwarden_tpot_seconds_sum")
    assert 0 < ttft < first
    assert ttft + tpot * (tokens - 1) < whole
    assert metric(program, "kvwarden_tenant_ttft_seconds_sum") == ttft
    assert 0.3 < tpot * 1e3 / timings["predicted_per_token_ms"] < 3
    assert metric(program, "kvwarden_request_latency_seconds_sum") >= ttft + tpot * (tokens - 1)
