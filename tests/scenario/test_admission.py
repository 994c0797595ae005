# SPDX-License-Identifier: MIT
"""Who goes next: fifo, drr and window through the real gateway, in front of an engine of width 1 that the test holds."""
import asyncio
import json
import random
import signal

import pytest

from support.chat import metric, post, status
from support.program import run
from support.waiting import wait_for

ONE = {"max_in_flight": 1}


def order_of(held, s, g, requests):
    """The order in which the engine gets requests that were queued in the given one."""
    s.send("first", "starter")
    held.has("first")
    s.send_in_order(*requests)
    held.release("first")
    for i in range(len(requests)):
        wait_for(lambda: len(held.work) == i + 2, f"{i + 2} requests reached the engine, {held.work}")
        held.release(held.work[-1])
    for mark, _, _ in requests:
        assert s.answer(mark).status == 200
    return held.work[1:]


# order -----------------------------------------------------------------------------------------------------------------

def test_fifo_goes_by_arrival(held, gateway, sender):
    g = gateway(held, scheduling="fifo", model=ONE)
    flood = [(f"f{i}", "flood", {}) for i in range(4)]
    assert order_of(held, sender(g.port), g, flood[:3] + [("q", "quiet", {})] + flood[3:]) == ["f0", "f1", "f2", "q", "f3"]


def test_window_lets_the_quiet_one_pass_the_flood(held, gateway, sender):
    g = gateway(held, scheduling="window", model=ONE)
    flood = [(f"f{i}", "flood", {}) for i in range(5)]
    order = order_of(held, sender(g.port), g, flood + [("q", "quiet", {})])
    assert order.index("q") <= 1 and [m for m in order if m != "q"] == [f"f{i}" for i in range(5)]


def test_fair_is_window_and_the_default(held, gateway, sender):
    g = gateway(held, model=ONE)
    assert status(g.port)["scheduling"] == "fair"
    flood = [(f"f{i}", "flood", {}) for i in range(5)]
    assert order_of(held, sender(g.port), g, flood + [("q", "quiet", {})]).index("q") <= 1


def test_drr_is_the_originals_score(held, gateway, sender):
    """(active * 10 + priority) * 100 + length bucket, frozen at arrival: each one more of a tenant counts 1,000."""
    g = gateway(held, scheduling="drr", model=ONE, tenants=[{"id": "urgent", "priority": 0}])
    order = order_of(held, sender(g.port), g, [
        ("f0", "flood", {}), ("f1", "flood", {}), ("f2", "flood", {}),
        ("long", "other", {"max_tokens": 5000}), ("u0", "urgent", {"max_tokens": 5000}), ("u1", "urgent", {}),
        ("short", "third", {"max_tokens": 1})])
    # f0 and short: 1100, long: 1103, u0: 1003, u1: 2000, f1: 2100, f2: 3100
    assert order == ["u0", "f0", "short", "long", "u1", "f1", "f2"]


def test_weights_share_the_engine(held, gateway, sender):
    g = gateway(held, model=ONE, tenants=[{"id": "heavy", "weight": 3}, {"id": "light", "weight": 1}])
    requests = [(f"{t}{i}", t, {"max_tokens": 10}) for i in range(12) for t in ("heavy", "light")]
    order = order_of(held, sender(g.port), g, requests)
    assert 8 <= sum(m.startswith("heavy") for m in order[:12]) <= 10, order


def test_an_organisation_shares_one_weight(held, gateway, sender):
    """Two tenants of one organisation together get what one tenant alone gets."""
    g = gateway(held, model=ONE, organisations=[{"id": "lab", "weight": 1}],
                tenants=[{"id": "a", "organisation": "lab"}, {"id": "b", "organisation": "lab"}, {"id": "c"}])
    requests = [(f"{t}{i}", t, {"max_tokens": 10}) for i in range(8) for t in ("a", "b", "c")]
    order = order_of(held, sender(g.port), g, requests)
    assert 5 <= sum(m.startswith("c") for m in order[:12]) <= 7, order
    assert abs(sum(m[0] == "a" for m in order[:12]) - sum(m[0] == "b" for m in order[:12])) <= 1, order


def test_an_organisations_weight_counts_against_others(held, gateway, sender):
    g = gateway(held, model=ONE, organisations=[{"id": "lab", "weight": 3}],
                tenants=[{"id": "a", "organisation": "lab", "weight": 0.5}, {"id": "c"}])
    requests = [(f"{t}{i}", t, {"max_tokens": 10}) for i in range(12) for t in ("a", "c")]
    order = order_of(held, sender(g.port), g, requests)
    assert 8 <= sum(m.startswith("a") for m in order[:12]) <= 10, order


# windows ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("scheduling,expected", [("window", 64), ("fair", 64), ("fifo", 80), ("drr", 80)])
def test_the_window_of_itself_is_64_or_none(held, gateway, sender, scheduling, expected):
    g = gateway(held, scheduling=scheduling)
    s = sender(g.port)
    for i in range(80):
        s.send(str(i))
    s.queued(80 - expected)
    wait_for(lambda: len(held.work) == expected, f"{expected} reach the engine")
    assert status(g.port)["models"][0]["window"] == (64 if expected == 64 else None)
    held.release_all()
    assert {s.answer(str(i)).status for i in range(80)} == {200}


def test_max_concurrent_is_a_cap_over_all_models_and_each_has_its_turn(held, gateway, sender):
    models = [{"model_id": n, "engine": "openai", "endpoint": held.url} for n in ("m", "n")]
    g = gateway(held, max_concurrent=2, models=models, scheduling="fifo")
    s = sender(g.port)
    for mark in ("m0", "m1"):
        s.send(mark, model="m")
        held.has(mark)
    s.send_in_order(("m2", "t", {"model": "m"}), ("m3", "t", {"model": "m"}), ("n0", "t", {"model": "n"}))
    assert status(g.port)["admission"]["in_flight"] == 2
    held.release("m0")
    held.release("m1")
    wait_for(lambda: len(held.work) == 4, "two more go")
    assert "n0" in held.work and status(g.port)["admission"]["in_flight"] == 2
    held.release_all()
    assert s.answer("m3").status == 200


def test_the_flag_max_concurrent(held, gateway, sender):
    g = gateway(held, args=("--max-concurrent", 1))
    s = sender(g.port)
    s.send("a")
    held.has("a")
    s.send("b")
    s.queued(1)
    held.release_all()


# bounds of the queue -----------------------------------------------------------------------------------------------------

def fill(held, gateway, sender, **config):
    """A gateway whose only seat is taken by another tenant."""
    g = gateway(held, model=ONE, **config)
    s = sender(g.port)
    s.send("runs", "starter")
    held.has("runs")
    return g, s


def full(r, code="queue_full", http=429):
    assert (r.status, r.error()["code"]) == (http, code), r
    assert int(r.header("retry-after")) >= 1 and int(r.header("retry-after-ms")) >= 1
    assert "would wait about" in r.error()["message"]


def test_a_tenants_queue_is_bounded_by_requests(held, gateway, sender):
    g, s = fill(held, gateway, sender, tenants=[{"id": "t", "queue_requests": 2}])
    s.send_in_order(("a", "t", {}), ("b", "t", {}))
    full(post(g.port, tenant="t"))
    s.send("u", "u")
    s.queued(3)
    assert metric(g.port, "kvwarden_tenant_rejected_total", tenant="t", reason="queue_full") == 1
    assert metric(g.port, "kvwarden_admission_rejected_total", reason="queue_full") == 1
    held.release_all()
    assert s.answer("a").status == 200


def test_a_tenants_queue_is_bounded_by_bytes(held, gateway, sender):
    g, s = fill(held, gateway, sender, tenants=[{"id": "t", "queue_bytes": 3000}])
    s.send_in_order(("a", "t", {"pad": "x" * 2000}))
    full(post(g.port, tenant="t", pad="x" * 2000))
    s.send_in_order(("b", "t", {}), waiting=1)
    held.release_all()


def test_the_defaults_of_the_queue(held, gateway, sender):
    g, s = fill(held, gateway, sender)
    shown = run("config", "show", g.config_path).stdout
    assert "queue_requests: 4096" in shown and "queue_bytes: 67108864" in shown and "queue_age_s: 600" in shown
    held.release_all()


def test_a_request_waits_no_longer_than_its_age(held, gateway, sender):
    g, s = fill(held, gateway, sender, tenants=[{"id": "t", "queue_age_s": 0.2}])
    s.send("a", "t")
    r = s.answer("a")
    full(r)
    assert metric(g.port, "kvwarden_tenant_rejected_total", tenant="t", reason="queue_timeout") == 1
    assert metric(g.port, "kvwarden_admission_rejected_total", reason="timeout") == 1
    assert status(g.port)["admission"]["total_timed_out"] == 1
    held.release_all()
    assert held.work == ["runs"], "it never reached the engine"


def test_admission_timeout_is_the_age_of_tenants_that_have_none(held, gateway, sender):
    g, s = fill(held, gateway, sender, admission_timeout_s=0.2)
    s.send("a", "t")
    full(s.answer("a"))
    held.release_all()


def test_an_age_of_zero_refuses_at_once_what_cannot_go_at_once(held, gateway, sender):
    g, s = fill(held, gateway, sender, admission_timeout_s=0)
    full(post(g.port))
    held.release_all()
    assert s.answer("runs").status == 200
    assert post(g.port).status == 200


def test_a_queue_of_none_refuses_with_503_what_cannot_go_at_once(held, gateway, sender):
    g, s = fill(held, gateway, sender, admission_queue_size=0)
    full(post(g.port), "server_overloaded", 503)
    assert status(g.port)["admission"]["queue_size"] == 0
    assert metric(g.port, "kvwarden_rejects_total", reason="overloaded") == 1
    held.release_all()
    assert s.answer("runs").status == 200
    assert post(g.port).status == 200


def test_all_queues_together_are_bounded_with_503(held, gateway, sender):
    g, s = fill(held, gateway, sender, admission_queue_size=2)
    s.send_in_order(("a", "t", {}), ("b", "u", {}))
    full(post(g.port, tenant="v"), "server_overloaded", 503)
    assert status(g.port)["admission"]["queue_size"] == 2
    held.release_all()


def test_without_the_key_there_is_no_bound_over_all(held, gateway, sender):
    g, s = fill(held, gateway, sender)
    assert status(g.port)["admission"]["queue_size"] is None
    s.send_in_order(*[(f"r{i}", f"t{i}", {}) for i in range(20)])
    held.release_all()


def test_the_predicted_wait_grows_with_the_work_before(engine, gateway, sender):
    """Once the engine's rate is known, Retry-After is the work that stands before over the tenant's share."""
    async def paced(request, reply):
        if request.method == "GET":
            return await reply.json({"object": "list", "data": []})
        await asyncio.sleep(0.05)
        await reply.json({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 100}})
    engine.behaviour = paced
    g = gateway(engine, model=ONE, tenants=[{"id": "t", "queue_requests": 1}, {"id": "u", "queue_requests": 40}])
    for _ in range(8):
        assert post(g.port, tenant="t", max_tokens=100).status == 200
    s = sender(g.port)
    for i in range(60):
        s.send(f"u{i}", "u", max_tokens=100)
    answers = [s.answer(f"u{i}") for i in range(60)]
    waits = [int(r.header("retry-after-ms")) for r in answers if r.status == 429]
    assert waits and all(300 <= w <= 20000 for w in waits), waits  # 40 requests of 50 ms


# leaving and losing --------------------------------------------------------------------------------------------------------

def test_a_waiter_that_leaves_gives_its_place_and_is_never_sent(held, gateway, sender):
    g, s = fill(held, gateway, sender)
    s.send_in_order(("a", "t", {}), ("b", "t", {}))
    s.leave("a")
    s.queued(1)
    held.release("runs")
    held.has("b")
    assert "a" not in held.work
    held.release_all()


def test_a_permit_of_one_who_left_comes_back_after_the_engines_abort_lag(held, gateway, sender):
    g, s = fill(held, gateway, sender)
    s.send("next", "t")
    s.queued(1)
    s.leave("runs")
    held.has("next")
    times = {(d["event"], d.get("request"), d["verdict"]): d["t_us"] for d in g.decisions()}
    left = [d["t_us"] for d in g.decisions() if d["event"] == "leave"][0]
    grant = [d["t_us"] for d in g.decisions() if d["event"] == "grant"][-1]
    assert grant - left >= 90_000, times
    held.release_all()


def test_the_abort_lag_is_the_engines_own(held, gateway, sender):
    """SGLang looks for aborted requests once a second; an OpenAI endpoint beside it does not wait for that."""
    models = [{"model_id": "m", "engine": "sglang", "endpoint": held.url, "max_in_flight": 1},
              {"model_id": "n", "engine": "vllm", "endpoint": held.url, "max_in_flight": 1}]
    g = gateway(held, models=models)
    s = sender(g.port)
    for name in "mn":
        s.send(f"{name}0", model=name)
        held.has(f"{name}0")
    s.send("m1", model="m")
    s.send("n1", model="n")
    s.queued(2)
    s.leave("m0")
    s.leave("n0")
    held.has("m1", "n1")
    leave = {d["model"]: d["t_us"] for d in g.decisions() if d["event"] == "leave"}
    grant = {d["model"]: d["t_us"] for d in g.decisions() if d["event"] == "grant"}  # the last one counts
    assert grant["n"] - leave["n"] < 900_000 <= grant["m"] - leave["m"]
    held.release_all()


def test_an_engine_that_is_lost_and_comes_back_gets_those_who_waited(held, gateway, sender):
    g = gateway(held, model=ONE, health_check_interval_s=0.1)
    s = sender(g.port)
    s.send("runs", "t")
    held.has("runs")
    s.send_in_order(("a", "t", {}), ("b", "u", {}))
    held.refuse_all = True
    held.drop()
    wait_for(lambda: status(g.port)["models"][0]["state"] == "lost", "the loss is seen")
    assert s.answer("runs").status in (502, 503)
    r = post(g.port)
    assert (r.status, r.error()["code"]) == (503, "engine_unavailable") and r.header("retry-after") == "2"
    assert status(g.port)["admission"]["queue_depth"] == 2
    held.release_all()
    held.refuse_all = False
    assert {s.answer("a").status, s.answer("b").status} == {200}
    wait_for(lambda: post(g.port).status == 200, "all is well again")


def test_while_an_engine_is_lost_age_still_counts(held, gateway, sender):
    g = gateway(held, model=ONE, health_check_interval_s=0.1, admission_timeout_s=1)
    s = sender(g.port)
    s.send("runs", "t")
    held.has("runs")
    s.send("a", "t")
    s.queued(1)
    held.refuse_all = True
    held.drop()
    r = s.answer("a")
    assert (r.status, r.error()["code"]) == (429, "queue_full")


# the decision log -----------------------------------------------------------------------------------------------------------

def test_the_decision_log_tells_a_requests_life(engine, gateway):
    g = gateway(engine)
    assert post(g.port, tenant="t", stream=True, more_headers={"X-Request-ID": "r-1"}).status == 200
    mine = wait_for(lambda: (d := [d for d in g.decisions() if d.get("request") == "r-1"]) and d[-1]["event"] == "finish" and d,
                    "the last line is written")
    assert [d["event"] for d in mine] == ["arrive", "grant", "first_token", "finish"]
    assert all(set(d) == {"t_us", "turn", "event", "tenant", "model", "request", "n", "verdict", "reason"} for d in mine)
    assert [d["t_us"] for d in mine] == sorted(d["t_us"] for d in mine)
    assert mine[0]["tenant"] == "t" and mine[0]["model"] == "m"


def test_what_an_idle_gateway_gets_is_granted_in_the_same_turn(engine, gateway):
    g = gateway(engine)
    assert post(g.port, tenant="t").status == 200
    turns = {d["event"]: d["turn"] for d in g.decisions() if d["event"] in ("arrive", "grant")}
    assert turns["arrive"] == turns["grant"]


# everything at once ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_nothing_is_held_afterwards(held, gateway, sender, seed):
    """Arrivals, ends, clients that leave, engine losses and reloads in random order; then every count is zero."""
    rng = random.Random(seed)
    models = [{"model_id": n, "engine": "openai", "endpoint": held.url, "max_in_flight": 3} for n in "mn"]
    limited = {"rate_limit_rpm": 60000, "rate_limit_burst": 5, "rate_limit_action": rng.choice(["queue", "reject"]),
               "max_concurrent_requests": 6, "max_concurrent_requests_action": rng.choice(["queue", "reject"]),
               "rate_limit_tpm": 100000, "rate_limit_tpm_action": "queue", "queue_age_s": 5}
    g = gateway(held, models=models, max_concurrent=5, health_check_interval_s=0.1, admission_queue_size=40,
                organisations=[{"id": "lab", "weight": 2}], tenants=[{"id": "a", **limited}, {"id": "b", "organisation": "lab"}])
    s = sender(g.port)
    for step in range(400):
        what = rng.random()
        if what < 0.55:
            s.send(f"r{step}", rng.choice("abcd"), model=rng.choice("mn"), stream=rng.random() < 0.5)
        elif what < 0.75 and held.open:
            held.release(rng.choice(list(held.open)))
        elif what < 0.9 and s.connections:
            mark = rng.choice(list(s.connections))
            rng.choice([s.leave, lambda m: s.connections.pop(m).reset()])(mark)
        elif what < 0.94:
            g.config.update(scheduling=rng.choice(["fifo", "drr", "window"]), max_concurrent=rng.randint(1, 8),
                            tenants=[{"id": "a", **(limited if rng.random() < 0.5 else {})},
                                     {"id": "b", "weight": rng.randint(1, 4),
                                      **({"organisation": "lab"} if rng.random() < 0.5 else {})}])
            new = g.config_path.with_suffix(".new")
            new.write_text(json.dumps(g.config))
            new.rename(g.config_path)
            g.signal(signal.SIGHUP)
        elif what < 0.96:
            held.drop()
        elif what < 0.98:
            held.refuse_all = not held.refuse_all
    held.refuse_all = False
    held.release_all()
    answers = [s.answer(mark) for mark in s.connections]
    assert {r.status for r in answers} <= {200, 429, 502, 503}
    end = wait_for(lambda: (x := status(g.port)) and not x["admission"]["in_flight"] and x, "no permit is held")
    assert end["admission"]["queue_depth"] == 0
    assert {t["usage"]["active_requests"] for t in end["tenants"].values()} == {0}
    wait_for(lambda: all(m["draining"] == 0 for m in status(g.port)["models"]), "what was aborted is done")
    assert metric(g.port, "kvwarden_http_buffered_bytes") < 10000
    for tenant in "abcd":
        wait_for(lambda: post(g.port, tenant=tenant).status == 200, "everybody is served again")
