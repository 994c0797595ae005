# SPDX-License-Identifier: MIT
"""Health, readiness, status, models, metrics: what stands there, in which format, and for whom."""
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.chat import CHAT, body, headers, metric, metrics, post, status
from support.waiting import wait_for
from support.wire import Connection, ask, request_bytes

QUIET, ADMIN = "sk-quiet-0123456789abcdef", "sk-admin-0123456789abcdef"

# What the original had, with its labels and buckets.
LATENCY = (".05 .1 .25 .5 1 2.5 5 10 30 60", {"model"})
ORIGINAL = {
    "kvwarden_requests_total": ("counter", {"model", "tenant", "status", "engine"}, None),
    "kvwarden_request_latency_seconds": ("histogram", {"model"}, ".05 .1 .25 .5 1 2.5 5 10 30 60"),
    "kvwarden_tokens_generated_total": ("counter", {"model"}, None),
    "kvwarden_tokens_input_total": ("counter", {"model"}, None),
    "kvwarden_models_loaded": ("gauge", set(), None),
    "kvwarden_model_evictions_total": ("counter", set(), None),
    "kvwarden_engine_up": ("gauge", {"model", "engine"}, None),
    "kvwarden_engine_cold_start_seconds": ("histogram", {"model", "engine"}, "10 30 60 120 300 600"),
    "kvwarden_sse_stream_disconnect_total": ("counter", {"reason"}, None),
    "kvwarden_tenant_requests_total": ("counter", {"tenant"}, None),
    "kvwarden_tenant_requests_rejected_total": ("counter", {"tenant", "reason"}, None),
    "kvwarden_tenant_ttft_seconds": ("histogram", {"model", "tenant"},
                                     ".025 .05 .075 .1 .15 .25 .5 1 2.5 5 10 30 60"),
    "kvwarden_admission_queue_depth": ("gauge", set(), None),
    "kvwarden_admission_in_flight": ("gauge", set(), None),
    "kvwarden_admission_wait_seconds": ("histogram", set(), ".001 .005 .01 .05 .1 .25 .5 1 5 10 30"),
    "kvwarden_admission_rejected_total": ("counter", {"reason"}, None),
    "kvwarden_admission_admitted_total": ("counter", set(), None),
}


@pytest.fixture
def busy(engine, gateway):
    """A gateway that has served a stream and a JSON answer, and refused one."""
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 2})
    assert post(g.port, tenant="t", stream=True).status == 200
    assert post(g.port, tenant="t").status == 200
    assert post(g.port, tenant="t").status == 429
    wait_for(lambda: metric(g.port, "kvwarden_tenant_requests_total", tenant="t") == 2, "both are counted")
    return g


def families(g):
    text = ask(g.port, "GET", "/metrics").body.decode()
    return {f.name: f for f in text_string_to_metric_families(text)}


# /metrics --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ORIGINAL)
def test_every_metric_of_the_original_is_there_with_its_labels(busy, name):
    kind, labels, buckets = ORIGINAL[name]
    family = families(busy)[name.removesuffix("_total")]
    assert family.type == kind and family.documentation
    assert family.samples
    for sample in family.samples:
        assert set(sample.labels) - {"le"} == labels, sample
    if buckets:
        le = [float(s.labels["le"]) for s in family.samples if s.name.endswith("_bucket")]
        one = le[:le.index(float("inf")) + 1]
        assert one == [float(b) for b in buckets.split()] + [float("inf")]


@pytest.mark.parametrize("name,label,values", [
    ("kvwarden_requests_total", "status", {"ok", "error", "timeout"}),
    ("kvwarden_sse_stream_disconnect_total", "reason", {"client_disconnect", "upstream_error", "timeout"}),
    ("kvwarden_admission_rejected_total", "reason", {"queue_full", "timeout"}),
    ("kvwarden_tenant_requests_rejected_total", "reason", {"budget_exceeded"}),
])
def test_labels_have_the_originals_values(busy, name, label, values):
    seen = {s.labels[label] for s in families(busy)[name.removesuffix("_total")].samples}
    assert seen and seen <= values
    if name != "kvwarden_requests_total":
        assert seen == values


def test_the_text_parses_and_no_series_stands_twice(busy):
    seen = set()
    for family in families(busy).values():
        for s in family.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            assert key not in seen
            seen.add(key)
    assert len(seen) > 100


def test_histograms_are_cumulative_and_end_in_their_count(busy):
    for family in families(busy).values():
        if family.type != "histogram":
            continue
        by = {}
        for s in family.samples:
            key = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
            by.setdefault(key, []).append(s)
        for samples in by.values():
            buckets = [s.value for s in samples if s.name.endswith("_bucket")]
            count = [s.value for s in samples if s.name.endswith("_count")]
            assert buckets == sorted(buckets) and [buckets[-1]] == count, samples


def test_the_numbers_are_right(busy):
    port = busy.port
    assert metric(port, "kvwarden_requests_total", status="ok", tenant="t", model="m", engine="openai") == 2
    assert metric(port, "kvwarden_request_latency_seconds_count", model="m") == 2
    assert metric(port, "kvwarden_tokens_generated_total", model="m") == 6
    assert metric(port, "kvwarden_tokens_input_total", model="m") == 14
    assert metric(port, "kvwarden_tokens_total", kind="output", tenant="t") == 6
    assert metric(port, "kvwarden_tenant_ttft_seconds_count", tenant="t") == 1
    assert metric(port, "kvwarden_models_loaded") == metric(port, "kvwarden_engine_up") == 1
    assert metric(port, "kvwarden_admission_admitted_total") == 2
    assert metric(port, "kvwarden_admission_wait_seconds_count") == 2
    assert metric(port, "kvwarden_queue_wait_seconds_count", tenant="t") == 2
    assert metric(port, "kvwarden_gateway_overhead_seconds_count", tenant="t") == 2
    assert metric(port, "kvwarden_engine_cold_start_seconds_count") == 1
    assert metric(port, "kvwarden_tenant_rejected_total", tenant="t", reason="rate_limit") == 1
    assert metric(port, "process_resident_memory_bytes") > 1e6
    assert metric(port, "kvwarden_build_info") == 1


def test_an_unknown_model_makes_no_series(busy):
    for i in range(5):
        assert post(busy.port, model=f"nobody-{i}").status == 404
    assert "nobody" not in ask(busy.port, "GET", "/metrics").body.decode()
    assert metric(busy.port, "kvwarden_rejects_total", reason="model_not_found") == 5


def test_content_type_of_metrics(busy):
    r = ask(busy.port, "GET", "/metrics")
    assert r.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"


def test_many_scrapes_at_once_are_bounded_and_complete(busy):
    readers = [Connection(busy.port) for _ in range(20)]
    for c in readers:
        c.send(request_bytes("GET", "/metrics"))
    answers = [c.response("GET") for c in readers]
    assert {r.status for r in answers} <= {200, 503} and sum(r.status == 200 for r in answers) >= 8
    for r in answers:
        if r.status == 200:
            assert r.complete and b"kvwarden_build_info" in r.body
        else:
            assert r.header("retry-after") and r.error()["code"] == "server_overloaded"


def test_a_reader_of_metrics_that_leaves_or_does_not_read_harms_nobody(engine, gateway):
    g = gateway(engine)
    for i in range(300):
        assert post(g.port, tenant=f"t{i}").status == 200
    lazy = [Connection(g.port) for _ in range(6)]
    for c in lazy:
        c.send(request_bytes("GET", "/metrics"))
    for c in lazy[:3]:
        c.reset()
    assert post(g.port).status == 200
    assert b"kvwarden_build_info" in ask(g.port, "GET", "/metrics").body
    assert lazy[3].response("GET").complete
    for c in lazy[3:]:
        c.close()


@pytest.mark.parametrize("page", ["/health", "/live", "/ready", "/metrics", "/kvwarden/status", "/v1/models"])
def test_head_is_answered_without_a_body(busy, page):
    with Connection(busy.port) as c:
        c.send(request_bytes("HEAD", page) + request_bytes("GET", "/live"))
        r = c.response("HEAD")
        assert r.status == 200 and r.body == b""
        assert c.response("GET").json()["status"] == "alive", "the connection is still in step"


@pytest.mark.parametrize("method,page,allow", [("POST", "/health", "GET, HEAD"), ("DELETE", "/metrics", "GET, HEAD"),
                                               ("GET", CHAT, "POST"), ("PUT", CHAT, "POST")])
def test_a_wrong_method_is_405_with_allow(busy, method, page, allow):
    r = ask(busy.port, method, page)
    assert (r.status, r.error()["code"], r.header("allow")) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize("path", ["/", "/nothing", "/v1", "/kvwarden/other", "/metrics/", "/health/x"])
def test_what_is_not_there_is_404_in_json(busy, path):
    r = ask(busy.port, "GET", path)
    assert (r.status, r.error()["code"]) == (404, "not_found")


# status ------------------------------------------------------------------------------------------------------------------

def test_status_has_every_key_of_the_original(busy):
    s = status(busy.port)
    assert set(s["loaded_models"]["m"]) == {"engine", "port", "request_count", "avg_latency_s", "eviction_score", "healthy",
                                            "uptime_s"}
    assert set(s["queue_depths"]) == {"short", "medium", "long", "xlarge"}
    assert set(s["admission"]) == {"max_concurrent", "queue_size", "in_flight", "queue_depth", "total_admitted",
                                   "total_rejected", "total_timed_out", "admission_rate", "rejection_rate"}
    assert set(s["cache"]) == {"total_blocks", "hit_rate", "tiers", "model_blocks"}
    t = s["tenants"]["t"]
    assert set(t) >= {"tenant_id", "budget", "usage"} and t["tenant_id"] == "t"
    assert set(t["usage"]) >= {"request_count", "token_count_in", "token_count_out", "gpu_seconds", "active_requests",
                               "rate_limit_tokens_remaining"}
    assert set(s["metrics"]) == {"uptime_s", "total_requests"}
    assert s["metrics"]["total_requests"] == 3
    assert (t["usage"]["request_count"], t["usage"]["token_count_in"], t["usage"]["token_count_out"]) == (2, 14, 6)
    assert t["usage"]["rate_limit_tokens_remaining"] < 1


def test_rates_of_admission_before_anything_was_decided(engine, gateway):
    """The original's pin."""
    a = status(gateway(engine).port)["admission"]
    assert (a["admission_rate"], a["rejection_rate"]) == (1, 0)


def test_depths_are_by_the_length_that_was_asked_for(held, gateway, sender):
    g = gateway(held, model={"max_in_flight": 1})
    s = sender(g.port)
    s.send("first")
    held.has("first")
    s.send_in_order(*[(f"r{n}", None, {"max_tokens": n}) for n in (256, 257, 1024, 1025, 4096, 4097)], ("d", None, {}))
    assert status(g.port)["queue_depths"] == {"short": 2, "medium": 2, "long": 2, "xlarge": 1}
    held.release_all()


# models ------------------------------------------------------------------------------------------------------------------

def test_models_are_listed_with_created_and_by_both_names(engine, gateway):
    g = gateway(engine, models=[{"model_id": "org/Big-Model", "engine": "openai", "endpoint": engine.url}])
    listed = ask(g.port, "GET", "/v1/models").json()
    assert listed["object"] == "list"
    assert [m["id"] for m in listed["data"]] == ["org/Big-Model", "big-model"]
    for m in listed["data"]:
        assert m["object"] == "model" and m["owned_by"] == "kvwarden" and m["created"] > 1.7e9
        assert m["engine"] == "openai" and m["healthy"] is True
        assert ask(g.port, "GET", f"/v1/models/{m['id']}").json()["id"] == m["id"]
    r = ask(g.port, "GET", "/v1/models/nobody")
    assert (r.status, r.error()["code"]) == (404, "model_not_found")


def test_the_list_of_models_needs_a_key_under_keys(engine, gateway):
    g = gateway(engine, tenants=[{"id": "q", "api_keys": [QUIET]}], admin_key=ADMIN)
    assert ask(g.port, "GET", "/v1/models").status == 401
    for key in (QUIET, ADMIN):
        assert ask(g.port, "GET", "/v1/models", {"Authorization": f"Bearer {key}"}).status == 200
    assert ask(g.port, "GET", "/health").status == ask(g.port, "GET", "/live").status == 200


def test_pages_for_the_administrator_answer_this_machine(engine, gateway):
    """Others need the key: tests/unit/router/test_identity.c."""
    g = gateway(engine, tenants=[{"id": "q", "api_keys": [QUIET]}], admin_key=ADMIN)
    for page in ("/metrics", "/kvwarden/status"):
        assert ask(g.port, "GET", page).status == 200


# what is refused has the API's shape -------------------------------------------------------------------------------------

@pytest.mark.parametrize("raw,expected,code", [
    (b"GET /health HTTP/1.1\r\n\r\n", 400, "invalid_request"),
    (b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n", None, None),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
    (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 431, "headers_too_large"),
    (b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413, "request_too_large"),
])
def test_what_http_refuses_is_an_error_object_too(busy, raw, expected, code):
    with Connection(busy.port) as c:
        c.send(raw)
        r = c.response("GET")
        if expected:
            assert (r.status, r.error()["code"]) == (expected, code)
        else:
            assert r.status in (400, 505) and r.error()["code"]
