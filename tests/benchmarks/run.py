#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What kvwarden costs on this machine.  Nothing here passes or fails: figures, with their ratios, from one run.

usage: run.py [relay|leave|metrics|replay ...]     all of them by default; about a minute

Everything runs on loopback, in bounded loops; the engine is `kvwarden sim --instant`, whose answers cost next to
nothing.  Where two ways are compared they alternate, so that a machine whose speed drifts does not decide.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.engine import Engine, chunk  # noqa: E402
from support.program import Program, binary, environment  # noqa: E402
from support.waiting import wait_for  # noqa: E402
from support.wire import Connection, ask, request_bytes, stream  # noqa: E402

ROUNDS = 3
SECONDS = 2.0


class Bench:
    """Starts programs and ends them with the block."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.programs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in reversed(self.programs):
            program.stop()
        self.folder.cleanup()

    def start(self, *args):
        self.programs.append(Program(self.path / f"log-{len(self.programs)}", *args))
        return self.programs[-1]

    def gateway(self, url, **config):
        path = self.path / f"config-{len(self.programs)}.yaml"
        path.write_text(json.dumps({"host": "127.0.0.1", "port": 0, "scheduling": "window",
                                    "models": [{"model_id": "m", "engine": "openai", "endpoint": url,
                                                "max_in_flight": 1000}], **config}))
        program = self.start("serve", "--config", path)
        wait_for(lambda: ask(program.port, "GET", "/health").status == 200, "/health answers 200")
        return program


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port, *tenants, seconds=SECONDS):
    """Runs our own load generator; returns its last report."""
    read_fd, write_fd = os.pipe()
    args = [binary(), "__load", "--url", f"http://127.0.0.1:{port}", "--model", "m", "--warmup", "0.3",
            "--duration", str(seconds), "--cooldown", "2", "--report-fd", str(write_fd)]
    for tenant in tenants:
        args += ["--tenant", tenant]
    child = subprocess.Popen(args, pass_fds=[write_fd], env=environment(), stdin=subprocess.DEVNULL)
    os.close(write_fd)
    with os.fdopen(read_fd) as lines:
        last = [json.loads(line) for line in lines][-1]
    assert child.wait(30) == 0
    return last


def row(name, *cells):
    print(f"{name:<46}" + "".join(f"{cell:>16}" for cell in cells))


def alternate(ways, measure):
    """{way: [figures]}: each way ROUNDS times, in turn."""
    out = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            out[way].append(measure(way))
    return out


def bench_relay():
    """Requests a second and the first token's time, straight to the engine and through the gateway."""
    with Bench() as b:
        engine = b.start("sim", "--instant", "--instant-tokens", "16", "--port", "0", "--model", "m")
        gateway = b.gateway(f"http://127.0.0.1:{engine.port}")
        ports = {"direct": engine.port, "gateway": gateway.port}

        def closed(way):
            before = cpu_s(gateway.pid)
            t = load(ports[way], "a:arrival=closed,outstanding=32,in=64,out=16")
            assert t["tenants"][0]["failed"] == 0, t
            return (t["tenants"][0]["ok"] / t["measured_s"], cpu_s(gateway.pid) - before, t["tenants"][0]["ok"])

        def paced(way):
            return load(ports[way], "a:rate=200,in=64,out=16")["tenants"][0]["p50_ms"]

        row("relay, 32 streams of 16 tokens, closed loop", "direct", "gateway", "ratio")
        rates = alternate(ports, closed)
        direct, through = (statistics.median(r[0] for r in rates[w]) for w in ports)
        row("  requests/s (median of 3)", f"{direct:.0f}", f"{through:.0f}", f"{through / direct:.2f}")
        cost = statistics.median(r[1] / r[2] for r in rates["gateway"]) * 1e6
        row("  gateway CPU a request of 17 events, us", "", f"{cost:.0f}", "")
        first = alternate(ports, paced)
        direct, through = (statistics.median(first[w]) for w in ports)
        row("  TTFT p50 at 200 requests/s, ms", f"{direct:.3f}", f"{through:.3f}", f"+{through - direct:.3f}")


def bench_leave():
    """From the client's FIN to the engine's connection being closed, and to the next in the queue being sent."""
    engine = Engine()
    left, granted = [], []

    async def behaviour(request, reply):
        if request.method == "GET":
            await reply.json({"data": [{"id": "m"}]})
            return
        await reply.start_stream()
        await reply.event(chunk("a"))
        await never.wait()

    never = engine.new_event()
    engine.behaviour = behaviour
    try:
        with Bench() as b:
            gateway = b.gateway(engine.url)
            for _ in range(50):
                connection, _, events = stream(gateway.port, "/v1/chat/completions",
                                               {"model": "m", "messages": [], "stream": True})
                next(iter(events))
                seen = engine.requests[-1].left
                start = time.perf_counter()
                connection.close()
                assert seen.wait(5)
                left.append((time.perf_counter() - start) * 1000)
    finally:
        engine.stop()
    left.sort()
    row("leave: client's FIN to the engine's, ms", "p50", "p90", "max")
    row("  (with the stand-in engine's own wake-up)", *(f"{v:.3f}" for v in (left[25], left[45], left[-1])))


def bench_metrics():
    """What a scrape of a large registry costs, and what it does to another request."""
    slice_bytes = 64 << 10  # METRICS_RENDER_BUDGET
    scrapes = 10
    with Bench() as b:
        engine = b.start("sim", "--instant", "--port", "0", "--model", "m")
        gateway = b.gateway(f"http://127.0.0.1:{engine.port}")
        with Connection(gateway.port) as c:
            for i in range(900):
                c.send(request_bytes("POST", "/v1/completions", {"X-Tenant-ID": f"t{i}"},
                                     {"model": "m", "prompt": "x", "max_tokens": 2, "stream": True}))
                assert c.response().status == 200
        before = cpu_s(gateway.pid)
        sizes = [len(ask(gateway.port, "GET", "/metrics").body) for _ in range(scrapes)]
        slices = sum(sizes) / slice_bytes
        row("metrics: a scrape of 900 tenants", "bytes", "slices", "CPU a slice, ms")
        row("  (slices are taken a millisecond apart)", sizes[-1], f"{slices / scrapes:.0f}",
            f"{(cpu_s(gateway.pid) - before) / slices * 1000:.3f}")


def bench_replay():
    """Simulated requests a second of `kvwarden sim replay`."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace.csv"
        n = 100000
        with open(trace, "w") as f:
            f.write("t_ms,tenant,prompt_tokens,max_tokens\n")
            f.writelines(f"{i * 25},t{i % 4},32,32\n" for i in range(n))
        start = time.perf_counter()
        done = subprocess.run([binary(), "sim", "replay", str(trace), "--preset", "h100-llama31-8b", "--seeds", "1"],
                              env=environment(), capture_output=True, text=True)
        elapsed = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    row("replay: simulated requests of 32 tokens", "requests/s", "a million, s", "")
    row("  h100-llama31-8b at 40 requests/s", f"{n / elapsed:.0f}", f"{1e6 / n * elapsed:.1f}", "")


def main():
    benches = {name[6:]: f for name, f in globals().items() if name.startswith("bench_")}
    chosen = sys.argv[1:] or list(benches)
    if set(chosen) - set(benches):
        sys.exit(f"{__doc__}\nno such benchmark: {' '.join(sorted(set(chosen) - set(benches)))}")
    print(f"{os.cpu_count()} CPUs, {binary()}\n")
    for name in chosen:
        benches[name]()
        print()


if __name__ == "__main__":
    main()
