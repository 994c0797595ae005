# SPDX-License-Identifier: MIT
"""The model that our script writes is one that llama.cpp accepts; without the gateway between."""
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

SCRIPT = Path(__file__).with_name("random_model.py")


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_the_same_seed_writes_the_same_file(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        subprocess.run([sys.executable, SCRIPT, tmp_path / name], check=True)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_it_generates_as_many_tokens_as_asked(llama):
    answer = post(llama + "/v1/completions", {"model": "m", "prompt": "the", "max_tokens": 7, "ignore_eos": True})
    assert answer["usage"]["completion_tokens"] == 7
