# SPDX-License-Identifier: MIT
"""A real llama.cpp server with random weights, one for the session."""
import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
WIDTH = 512  # slow enough that requests overlap, fast enough for a test


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """The server's URL."""
    folder = tmp_path_factory.mktemp("llama")
    model = folder / "random.gguf"
    subprocess.run([sys.executable, HERE / "random_model.py", model, str(WIDTH)], check=True)
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen([sys.executable, HERE / "llama_server.py", model], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=log)
    try:
        line = server.stdout.readline()
        assert line, (folder / "server.log").read_text(errors="replace")[-4000:]
        yield json.loads(line)["address"]
    finally:
        server.kill()
        server.wait()
