"""onnxruntime-web in a real headless Chromium: the self-decoding files load there and give the dense file's numbers.

Needs `chromium` on the path and the npm package `onnxruntime-web`, in `node_modules`
of the repository or in the folder that ONNXRUNTIME_WEB names.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import compressed

from export import TARGETS

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("onnx-dense", {}),
    "onnx": ("onnx", {}),
    "onnx in lanes": ("onnx", {"max_load_memory": 2_300_000}),
    "onnx in lanes, plain nodes": ("onnx", {"max_load_memory": 2_300_000, "functions": False}),
    "onnx-fixed": ("onnx-fixed", {}),
}

PAGE = """<!doctype html><script src="/dist/ort.wasm.min.js"></script><script>
const report = (body) => fetch('/result', {method: 'POST', body: JSON.stringify(body)});
(async () => {
  try {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = '/dist/';
    const image = new Float32Array(await (await fetch('/image')).arrayBuffer());
    const found = {};
    for (const name of await (await fetch('/names')).json()) {
      const model = new Uint8Array(await (await fetch('/model/' + encodeURIComponent(name))).arrayBuffer());
      const start = performance.now();
      const session = await ort.InferenceSession.create(model, {executionProviders: ['wasm']});
      const loaded = performance.now() - start;
      const input = new ort.Tensor('float32', image, [1, 1, 32, 32]);
      const output = (await session.run({input})).logits;
      found[name] = {load_ms: loaded, logits: Array.from(output.data)};
    }
    await report(found);
  } catch (error) { await report({error: String(error)}); }
})();
</script>"""


@pytest.fixture(scope="module")
def dist() -> Path:
    for folder in (os.environ.get("ONNXRUNTIME_WEB"), ROOT / "node_modules" / "onnxruntime-web"):
        if folder and (Path(folder) / "dist" / "ort.wasm.min.js").is_file():
            return Path(folder) / "dist"
    pytest.skip("the npm package onnxruntime-web is not installed (npm install onnxruntime-web, or ONNXRUNTIME_WEB)")


@pytest.fixture(scope="module")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on the path (apt-get install chromium)")
    return found


@pytest.fixture
def results(dist: Path, browser: str, tmp_path: Path) -> Iterator[dict[str, Any]]:
    model = compressed()
    files = {
        name: TARGETS[target].dumps(model, stem="m", **options)[".onnx"] for name, (target, options) in WAYS.items()
    }
    image = np.random.default_rng(1).random((1, 1, 32, 32)).astype(np.float32)
    answer: list[dict[str, Any]] = []
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            from urllib.parse import unquote

            path = unquote(self.path)
            kind, body = "application/octet-stream", b""
            if path == "/":
                kind, body = "text/html", PAGE.encode()
            elif path == "/image":
                body = image.tobytes()
            elif path == "/names":
                kind, body = "application/json", json.dumps(list(files)).encode()
            elif path.startswith("/model/"):
                body = files[path.removeprefix("/model/")]
            elif path.startswith("/dist/") and (dist / Path(path).name).is_file():
                body = (dist / Path(path).name).read_bytes()
                suffix = Path(path).suffix
                kind = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}.get(
                    suffix, kind
                )
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            answer.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}"]
    process = subprocess.Popen(
        [browser, *flags, f"http://127.0.0.1:{server.server_port}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert done.wait(SECONDS), f"the browser gave no answer in {SECONDS} s"
        yield answer[0]
    finally:
        process.terminate()
        process.wait()
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_browser_loads_every_kind_of_file_and_gives_the_same_numbers(results: dict[str, Any]) -> None:
    assert "error" not in results, results["error"]
    assert list(results) == list(WAYS)
    dense = np.float32(results["dense"]["logits"])
    assert np.isfinite(dense).all()
    assert np.abs(dense).max() > 0
    for name in WAYS:
        assert np.float32(results[name]["logits"]).tobytes() == dense.tobytes(), name
