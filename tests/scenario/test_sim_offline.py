# SPDX-License-Identifier: MIT
"""`kvwarden sim steps` and `sim replay`: what they refuse and in which words, and that they are deterministic."""
import json

import pytest

from support.program import run

ENGINE = {"max_num_seqs": 4, "max_num_batched_tokens": 64, "block_size": 16, "num_blocks": 50, "max_model_len": 512}
REQUEST = {"id": "a", "arrive": 0, "prompt": [[1, 5]], "max_tokens": 2}
HEADER = "t_ms,tenant,prompt_tokens,max_tokens\n"


def steps(tmp_path, workload):
    path = tmp_path / "workload.json"
    path.write_text(workload if isinstance(workload, str) else json.dumps(workload))
    return run("sim", "steps", path)


def test_steps_prints_a_line_for_each_step(tmp_path):
    done = steps(tmp_path, {"engine": ENGINE, "requests": [REQUEST]})
    assert done.returncode == 0
    assert [json.loads(line)["scheduled"] for line in done.stdout.splitlines()] == [[["a", 5]], [["a", 1]]]


@pytest.mark.parametrize("workload, words", [
    ("{", ["not JSON at byte"]),
    ("[]", ["workload: engine", "missing"]),
    ({"engine": ENGINE}, ["workload: requests", "missing"]),
    ({"engine": {**ENGINE, "max_num_batched_tokens": 2}, "requests": []}, ["engine: max_num_batched_tokens", "from 4 to"]),
    ({"engine": {**ENGINE, "watermark": "much"}, "requests": []}, ["engine: watermark", "from 0 to 1"]),
    ({"engine": {**ENGINE, "async": 1}, "requests": []}, ["engine: async", "true nor false"]),
    ({"engine": {**ENGINE, "policy": "lifo"}, "requests": []}, ["engine: policy", "fcfs", "priority"]),
    ({"engine": ENGINE, "requests": [{}]}, ["request 1: id"]),
    ({"engine": ENGINE, "requests": [{**REQUEST, "max_tokens": 0}]}, ["a: max_tokens", "from 1 to"]),
    ({"engine": ENGINE, "requests": [{**REQUEST, "prompt": [[1, 5, 6]]}]}, ["a: prompt", "pairs"]),
    ({"engine": ENGINE, "requests": [{**REQUEST, "prompt": [[1, 0]]}]}, ["a: the prompt is empty"]),
    ({"engine": ENGINE, "requests": [{**REQUEST, "abort": "soon"}]}, ["a: abort"]),
    ({"engine": ENGINE, "requests": [REQUEST, REQUEST]}, ["a: id", "more than one"]),
    ({"engine": ENGINE, "requests": [{**REQUEST, "prompt": [[1, 600]]}]}, ["a: a prompt of 600", "512"]),
    ({"engine": {**ENGINE, "num_blocks": 3}, "requests": [{**REQUEST, "prompt": [[1, 60]]}]}, ["a: ", "never fit in 2 blocks"]),
])
def test_a_bad_workload_is_refused_with_its_place(tmp_path, workload, words):
    done = steps(tmp_path, workload)
    assert done.returncode == 1
    assert all(w in done.stderr for w in ["workload.json", *words]), done.stderr


def replay(tmp_path, text, *args):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return run("sim", "replay", path, *args)


@pytest.mark.parametrize("text, words", [
    ("", ["line 1", "header"]),
    ("a,b\n", ["line 1", "t_ms,tenant,prompt_tokens,max_tokens"]),
    (HEADER, ["no row"]),
    (HEADER + "x,a,5,5\n", ["line 2", "t_ms"]),
    (HEADER + "1,a,5\n", ["line 2", "max_tokens ''", "from 1 to 1000000"]),
    (HEADER + "1,a,0,5\n", ["line 2", "prompt_tokens '0'"]),
    (HEADER + "1,,5,5\n", ["line 2", "tenant"]),
    (HEADER + "5,a,5,5\n1,a,5,5\n", ["line 3", "order of time"]),
    (HEADER + "1,a,900000,5\n", ["row 1", "900000", "holds 419728 tokens"]),
    (HEADER + "".join(f"1,tenant{i},5,5\n" for i in range(65)), ["line 66", "up to 64 tenants"]),
])
def test_a_bad_trace_is_refused_with_its_line(tmp_path, text, words):
    done = replay(tmp_path, text)
    assert done.returncode == 1
    assert all(w in done.stderr for w in ["trace.csv", *words]), done.stderr


@pytest.mark.parametrize("args, words", [
    (["--preset", "b200"], ["--preset", "'b200'", "sim presets"]),
    (["--host-cpu", "fast"], ["--host-cpu", "'fast'", "sim presets"]),
    (["--bucket", "a"], ["--bucket", "TENANT:RATE:BURST"]),
    (["--bucket", "a:0:1"], ["--bucket", "RATE above 0"]),
    (["--seeds", "0"], ["--seeds", "from 1 to"]),
    (["--seed", "x"], ["--seed", "'x'"]),
    (["--warmup-s", "-1"], ["--warmup-s", "from 0"]),
    (["--no-such"], ["--no-such"]),
    (["second.csv"], ["more than one trace"]),
])
def test_wrong_usage_of_replay_ends_with_2(tmp_path, args, words):
    done = replay(tmp_path, HEADER + "1,a,5,5\n", *args)
    assert done.returncode == 2
    assert all(w in done.stderr for w in words), done.stderr


def test_a_bucket_needs_its_tenant(tmp_path):
    done = replay(tmp_path, HEADER + "1,a,5,5\n", "--bucket", "b:1:1")
    assert done.returncode == 1 and "'b'" in done.stderr


def test_columns_may_stand_in_any_order_and_lines_end_in_crlf(tmp_path):
    out = tmp_path / "out.csv"
    done = replay(tmp_path, "tenant,note,t_ms,max_tokens,prompt_tokens\r\na,,1,5,7\r\n", "--out", out)
    assert done.returncode == 0
    assert out.read_text().splitlines()[1].startswith("1.000,a,7,5,")


def test_a_bucket_refuses_what_it_cannot_hold(tmp_path):
    """10 a second, 10 at once: of 30 at one instant 20 are refused, a second later 10 pass again."""
    out = tmp_path / "out.csv"
    rows = "".join(f"{t},noisy,5,1\n" for t in [0] * 30 + [1000] * 12)
    assert replay(tmp_path, HEADER + rows, "--bucket", "noisy:10:10", "--out", out).returncode == 0
    statuses = [line.rsplit(",", 1)[1] for line in out.read_text().splitlines()[1:]]
    assert statuses == ["ok"] * 10 + ["429"] * 20 + ["ok"] * 10 + ["429"] * 2


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    rows = HEADER + "".join(f"{i * 7},{'ab'[i % 2]},{5 + i % 9},{1 + i % 40}\n" for i in range(500))

    def rows_of(seed):
        out = tmp_path / f"out-{seed}.csv"
        assert replay(tmp_path, rows, "--seed", seed, "--out", out).returncode == 0
        return out.read_bytes()

    assert rows_of(7) == rows_of(7)
    assert rows_of(7) != rows_of(8)


def test_presets_print_their_host_and_error():
    done = run("sim", "presets")
    assert done.returncode == 0
    for word in ("a100-llama31-8b", "h100-llama31-8b", "TPOT", "in 1", "chunk 0."):
        assert word in done.stdout, word


@pytest.mark.parametrize("args", [["steps"], ["steps", "a", "b"], ["replay"], ["presets", "x"], ["nothing"],
                                  ["--instant-interval-us", "5"], ["--max-num-batched-tokens", "1"], ["--host-cpu", "x"]])
def test_wrong_usage_ends_with_2(args):
    done = run("sim", *args)
    assert done.returncode == 2 and done.stderr


@pytest.mark.parametrize("args", [["steps", "--help"], ["replay", "--help"], ["--help"]])
def test_help_is_no_error(args):
    done = run("sim", *args)
    assert done.returncode == 0 and "usage: kvwarden sim" in done.stdout


@pytest.mark.load
def test_a_million_requests_take_well_under_a_minute(tmp_path):
    trace = tmp_path / "million.csv"
    with open(trace, "w") as f:
        f.write(HEADER)
        f.writelines(f"{i * 31.25:.3f},{'quiet' if i % 33 == 0 else 'flooder'},{10 + i % 6},64\n" for i in range(1_000_000))
    done = run("sim", "replay", trace, timeout=40)
    assert done.returncode == 0 and "flooder" in done.stdout
