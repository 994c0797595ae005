# SPDX-License-Identifier: MIT
"""A tenant's contract: requests and tokens a minute, requests at once; reject or queue; what the headers say."""
import re

import pytest

from support.chat import CHAT, body, headers, metric, post, status
from support.waiting import wait_for
from support.wire import ask

# Rates are either so slow that nothing comes back during a test, or so fast that waiting for it is short.
NEVER = {"rate_limit_rpm": 0.01, "rate_limit_burst": 1}


def refused(r, code="rate_limit_exceeded"):
    e = r.error()
    assert (r.status, e["type"], e["code"]) == (429, "rate_limit_error", code), r
    seconds, ms = int(r.header("retry-after")), int(r.header("retry-after-ms"))
    assert seconds >= 1 and (ms + 999) // 1000 == seconds
    return e


# nothing is limited unless the file says so ----------------------------------------------------------------------------

def test_without_a_limit_nothing_is_refused_and_no_limit_is_spoken_of(engine, gateway):
    g = gateway(engine)
    for _ in range(100):
        r = post(g.port, tenant="a")
        assert r.status == 200
    assert [n for n, _ in r.headers if n.startswith("x-ratelimit") or n == "retry-after"] == []
    assert status(g.port)["tenants"]["a"]["budget"]["rate_limit_rpm"] is None


# requests a minute -----------------------------------------------------------------------------------------------------

def test_the_bucket_holds_its_burst_and_not_one_more(engine, gateway):
    """The original's pin: with burst 10 the 11th request of the same instant is refused."""
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 10})
    assert [post(g.port, tenant="flood").status for _ in range(11)] == [200] * 10 + [429]
    assert post(g.port, tenant="calm").status == 200
    assert len(engine.requests) == 11


def test_without_a_burst_the_bucket_holds_a_minute(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 3})
    assert [post(g.port).status for _ in range(4)] == [200, 200, 200, 429]


def test_a_refusal_says_when_to_come_again_and_that_is_true(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 300, "rate_limit_burst": 1})  # one in 200 ms
    assert post(g.port).status == 200
    r = post(g.port)
    refused(r)
    assert 1 <= int(r.header("retry-after-ms")) <= 200 and r.header("retry-after") == "1"
    assert r.header("x-should-retry") is None
    wait_for(lambda: post(g.port).status == 200, "the bucket fills again")


def test_who_has_to_wait_longer_than_a_minute_is_told_not_to_retry(engine, gateway):
    g = gateway(engine, tenant_defaults=NEVER)
    assert post(g.port).status == 200
    r = post(g.port)
    refused(r)
    assert r.header("x-should-retry") == "false" and int(r.header("retry-after")) > 5000


def test_headers_tell_what_is_left(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 2, "rate_limit_burst": 2, "rate_limit_tpm": 6000})
    seen = []
    for _ in range(3):
        r = post(g.port, max_tokens=10)
        seen.append((r.status, r.header("x-ratelimit-limit-requests"), r.header("x-ratelimit-remaining-requests")))
        assert r.header("x-ratelimit-limit-tokens") == "6000"
        assert 0 <= int(r.header("x-ratelimit-remaining-tokens")) <= 6000
        for name in ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"):
            assert re.fullmatch(r"(\d+h)?(\d+m)?(\d+(\.\d+)?s|\d+ms)", r.header(name)), r.header(name)
    assert seen == [(200, "2", "1"), (200, "2", "0"), (429, "2", "0")]


def test_streams_have_the_headers_too(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 10})
    assert post(g.port, stream=True).header("x-ratelimit-remaining-requests") == "9"


REFUSED_LATER = {
    "unknown model": (dict(model="nobody"), 404),
    "no messages": (dict(target="/v1/nowhere/../x"), 404),
    "wrong type": (dict(max_tokens={}), 400),
}


@pytest.mark.parametrize("what", REFUSED_LATER)
def test_a_request_that_is_refused_for_another_reason_spends_nothing(engine, gateway, what):
    how, expected = REFUSED_LATER[what]
    g = gateway(engine, tenant_defaults=NEVER)
    assert post(g.port, **how).status == expected
    assert post(g.port).status == 200
    assert post(g.port).status == 429


def test_a_request_that_the_queue_refuses_spends_nothing(held, gateway, sender):
    g = gateway(held, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 2, "queue_requests": 0},
                model={"max_in_flight": 1})
    s = sender(g.port)
    s.send("first")
    held.has("first")
    r = post(g.port)
    assert (r.status, r.error()["code"]) == (429, "queue_full")
    held.release_all()
    assert s.answer("first").status == 200
    assert post(g.port).status == 200
    assert refused(post(g.port))


def test_429s_are_in_the_metrics_by_reason(engine, gateway):
    g = gateway(engine, tenant_defaults=NEVER)
    assert [post(g.port, tenant="a").status for _ in range(3)] == [200, 429, 429]
    assert metric(g.port, "kvwarden_tenant_rejected_total", tenant="a", reason="rate_limit") == 2
    assert metric(g.port, "kvwarden_tenant_requests_rejected_total", tenant="a", reason="budget_exceeded") == 2
    assert metric(g.port, "kvwarden_rejects_total", reason="rate_limit") == 2
    assert metric(g.port, "kvwarden_tenant_requests_total", tenant="a") == 1
    assert status(g.port)["tenants"]["a"]["usage"]["refused"] == 2


def test_under_v1_messages_a_refusal_has_anthropics_shape(engine, gateway):
    g = gateway(engine, tenant_defaults=NEVER)
    assert post(g.port).status == 200
    r = post(g.port, target="/v1/messages")
    assert r.status == 429 and r.header("retry-after")
    assert r.json()["type"] == "error" and r.json()["error"]["type"] == "rate_limit_error"


# tokens a minute --------------------------------------------------------------------------------------------------------

def tokens_left(g, **fields):
    """What the next refusal or answer says is left."""
    return int(post(g.port, target="/v1/chat/completions", **fields).header("x-ratelimit-remaining-tokens"))


def test_the_estimate_is_reserved_and_the_truth_settled(held, gateway, sender):
    """hello is 5 bytes, a few tokens with its frame; max_tokens is reserved with it.  The engine says 10 in all."""
    g = gateway(held, tenant_defaults={"rate_limit_tpm": 0.01, "rate_limit_tpm_burst": 1000})
    s = sender(g.port)
    s.send("a", max_tokens=400)
    held.has("a")
    s.send("b", max_tokens=400)
    held.has("b")
    r = post(g.port, max_tokens=400)
    refused(r)
    assert 170 <= int(r.header("x-ratelimit-remaining-tokens")) <= 199
    assert metric(g.port, "kvwarden_tenant_rejected_total", reason="token_limit") == 1
    held.release_all()
    assert s.answer("a").status == s.answer("b").status == 200
    r = wait_for(lambda: (r := post(g.port, max_tokens=400)).status == 200 and r, "what was not used came back")
    assert 570 <= int(r.header("x-ratelimit-remaining-tokens")) <= 1000
    usage = status(g.port)["tenants"]["default"]["usage"]
    assert (usage["token_count_in"], usage["token_count_out"]) == (21, 9)


def test_the_bucket_may_go_below_zero_and_then_nobody_enters(engine, gateway):
    async def talkative(request, reply):
        if request.method == "GET":
            return await reply.json({"object": "list", "data": []})
        await reply.json({"choices": [], "usage": {"prompt_tokens": 500, "completion_tokens": 5000}})
    engine.behaviour = talkative
    g = gateway(engine, tenant_defaults={"rate_limit_tpm": 60, "rate_limit_tpm_burst": 100})
    assert post(g.port, max_tokens=10).status == 200
    r = post(g.port, max_tokens=1)
    refused(r)
    assert r.header("x-ratelimit-remaining-tokens") == "0"
    assert 5300 <= int(r.header("retry-after")) <= 5500, "it fills from -5,400 with one a second"


def test_a_request_larger_than_the_bucket_passes_a_full_one(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_tpm": 0.01, "rate_limit_tpm_burst": 50})
    assert post(g.port, max_tokens=100000).status == 200
    refused(post(g.port, max_tokens=100000))


def test_a_client_that_leaves_gets_back_what_it_did_not_use(held, gateway, sender):
    g = gateway(held, tenant_defaults={"rate_limit_tpm": 0.01, "rate_limit_tpm_burst": 1000})
    s = sender(g.port)
    s.send("a", max_tokens=900)
    held.has("a")
    refused(post(g.port, max_tokens=900))
    s.leave("a")
    held.release_all()
    wait_for(lambda: post(g.port, max_tokens=900).status == 200, "the reservation comes back")


@pytest.mark.parametrize("status_code", [400, 500])
def test_an_engines_error_costs_no_tokens(engine, gateway, status_code):
    async def failing(request, reply):
        if request.method == "GET":
            return await reply.json({"object": "list", "data": []})
        await reply.json({"error": {"message": "no"}}, status=status_code)
    engine.behaviour = failing
    g = gateway(engine, tenant_defaults={"rate_limit_tpm": 0.01, "rate_limit_tpm_burst": 100})
    for _ in range(3):
        assert post(g.port, max_tokens=90).status == status_code


# requests at once -------------------------------------------------------------------------------------------------------

def test_the_concurrency_cap_counts_queued_requests_and_keeps_the_token(held, gateway, sender):
    """The original's pin: a refusal over concurrency does not spend a token."""
    g = gateway(held, tenant_defaults={"max_concurrent_requests": 2, "rate_limit_rpm": 0.01, "rate_limit_burst": 3},
                model={"max_in_flight": 1})
    s = sender(g.port)
    s.send_in_order(("a", "t", {}), waiting=-1)
    s.send("b", "t")
    s.queued(1)
    for _ in range(5):
        refused(post(g.port, tenant="t"))
    assert metric(g.port, "kvwarden_tenant_rejected_total", reason="concurrency_limit") == 5
    held.release_all()
    assert s.answer("a").status == s.answer("b").status == 200
    assert post(g.port, tenant="t").status == 200
    assert metric(g.port, "kvwarden_tenant_rejected_total", reason="rate_limit") == 0


def test_a_seat_comes_back_from_every_end(held, gateway, sender):
    g = gateway(held, tenant_defaults={"max_concurrent_requests": 1}, model={"max_in_flight": 1})
    s = sender(g.port)
    s.send("runs", "x")
    held.has("runs")
    s.send("waits", "t")
    s.queued(1)
    refused(post(g.port, tenant="t"))
    s.leave("waits")
    s.queued(0)
    s.send("again", "t")
    s.queued(1)
    s.leave("runs")
    held.has("again")
    s.leave("again")
    held.release_all()
    wait_for(lambda: post(g.port, tenant="t").status == 200, "the seat is free")
    assert {t["usage"]["active_requests"] for t in status(g.port)["tenants"].values()} == {0}


# queue instead of refusing ----------------------------------------------------------------------------------------------

def test_over_the_rate_with_queue_a_request_waits_until_there_is_room(engine, gateway):
    g = gateway(engine, tenant_defaults={"rate_limit_rpm": 300, "rate_limit_burst": 1, "rate_limit_action": "queue"})
    for _ in range(4):
        assert post(g.port).status == 200
    grants = [d["t_us"] for d in g.decisions() if d["event"] == "grant"]
    assert all(b - a >= 150_000 for a, b in zip(grants, grants[1:])), "one in 200 ms, whoever asks"


def test_over_the_tokens_with_queue_a_request_waits_until_tokens_are_settled(held, gateway, sender):
    g = gateway(held, tenant_defaults={"rate_limit_tpm": 0.01, "rate_limit_tpm_burst": 100,
                                       "rate_limit_tpm_action": "queue"})
    s = sender(g.port)
    s.send("a", max_tokens=60)
    held.has("a")
    s.send("b", max_tokens=60)
    s.queued(1)
    assert held.work == ["a"]
    held.release("a")
    held.has("b")  # the answer had 3 tokens: there is room
    held.release("b")
    assert s.answer("b").status == 200


def test_over_the_concurrency_with_queue_a_request_waits_for_a_seat(held, gateway, sender):
    g = gateway(held, tenant_defaults={"max_concurrent_requests": 1, "max_concurrent_requests_action": "queue"})
    s = sender(g.port)
    s.send("a", "t")
    held.has("a")
    s.send_in_order(("b", "t", {}), ("c", "t", {}))
    s.send("other", "u")
    held.has("other")
    held.release("a")
    held.has("b")
    held.release("b")
    held.has("c")
    assert held.work == ["a", "other", "b", "c"]
    held.release_all()
    assert [s.answer(m).status for m in ("a", "b", "c", "other")] == [200] * 4


def test_one_who_waits_for_a_limit_and_leaves_takes_nothing_along(held, gateway, sender):
    g = gateway(held, tenant_defaults={"max_concurrent_requests": 1, "max_concurrent_requests_action": "queue"})
    s = sender(g.port)
    s.send("a")
    held.has("a")
    s.send_in_order(("b", None, {}), ("c", None, {}))
    s.leave("b")
    s.queued(1)
    held.release("a")
    held.has("c")
    assert held.work == ["a", "c"]
    held.release_all()
    assert post(g.port).status == 200


def test_a_seat_that_comes_free_at_one_model_lets_go_on_at_another(held, gateway, sender):
    g = gateway(held, models=[{"model_id": n, "engine": "openai", "endpoint": held.url} for n in ("m", "n")],
                tenant_defaults={"max_concurrent_requests": 1, "max_concurrent_requests_action": "queue"})
    s = sender(g.port)
    s.send("a", model="m")
    held.has("a")
    s.send("b", model="n")
    s.queued(1)
    held.release("a")
    held.has("b")
    held.release_all()


def test_a_limit_that_rejects_holds_for_those_that_wait_for_another(held, gateway, sender):
    """rate: queue and concurrency: reject.  Who waits for the rate counts as one of the tenant's requests."""
    g = gateway(held, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 1, "rate_limit_action": "queue",
                                       "max_concurrent_requests": 3})
    s = sender(g.port)
    s.send("a")
    held.has("a")
    s.send_in_order(("b", None, {}), ("c", None, {}))
    r = post(g.port)
    refused(r)
    assert metric(g.port, "kvwarden_tenant_rejected_total", reason="concurrency_limit") == 1
    held.release_all()


@pytest.mark.parametrize("bound", [{"queue_requests": 1}, {"queue_bytes": 1}, {"queue_age_s": 0}])
def test_the_bounds_of_the_queue_hold_for_those_who_wait_for_a_limit(held, gateway, sender, bound):
    g = gateway(held, tenant_defaults={**NEVER, "rate_limit_action": "queue", **bound})
    s = sender(g.port)
    s.send("a")
    held.has("a")
    if "queue_age_s" not in bound:
        s.send("b")
        s.queued(1)
    r = post(g.port)
    assert (r.status, r.error()["code"]) == (429, "queue_full")
    held.release_all()


def test_with_a_queue_of_none_queue_means_reject(engine, gateway):
    g = gateway(engine, admission_queue_size=0, tenant_defaults={**NEVER, "rate_limit_action": "queue"})
    assert post(g.port).status == 200
    refused(post(g.port))


def test_a_tenant_that_is_held_does_not_make_another_wait_or_be_refused(engine, gateway, sender):
    g = gateway(engine, admission_queue_size=10,
                tenants=[{"id": "held", **NEVER, "rate_limit_action": "queue"}, {"id": "free", "queue_age_s": 0}])
    s = sender(g.port)
    assert post(g.port, tenant="held").status == 200
    s.send("waits", "held")
    s.queued(1)
    for _ in range(20):
        assert post(g.port, tenant="free").status == 200


def test_a_hundred_at_once_take_no_more_than_there_is(held, gateway, sender):
    """Reservations are atomic: 100 parallel requests, a bucket for 30."""
    g = gateway(held, tenant_defaults={"rate_limit_rpm": 0.01, "rate_limit_burst": 30})
    s = sender(g.port)
    for i in range(100):
        s.send(str(i))
    held.release_all()
    answers = [s.answer(str(i)).status for i in range(100)]
    assert (answers.count(200), answers.count(429)) == (30, 70)
    assert len(held.work) == 30
