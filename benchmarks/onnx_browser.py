"""Load ONNX files in onnxruntime-web, in a real headless Chromium, and bring back what they gave.

Needs `chromium` on the path (apt-get install chromium) and the npm package
`onnxruntime-web`, in `node_modules` of the repository or in the folder that the
environment variable ONNXRUNTIME_WEB names. The page is served on loopback.
"""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_browser", "find_onnxruntime_web", "run_in_browser"]

_ROOT = Path(__file__).resolve().parents[1]

_SECONDS = 120
"""A page answers within seconds; a browser that has not by then never will."""

_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

_PAGE = """<!doctype html><script>
const heaps = [];  // the memory of a WebAssembly module grows and never shrinks
const keep = (values) => heaps.push(...Object.values(values ?? {}).filter((value) => value instanceof Memory));
const Memory = WebAssembly.Memory;
for (const name of ['instantiate', 'instantiateStreaming']) {
  const plain = WebAssembly[name].bind(WebAssembly);
  WebAssembly[name] = async (code, imports) => {
    const made = await plain(code, imports);
    Object.values(imports ?? {}).forEach(keep);
    keep((made.instance ?? made).exports);
    return made;
  };
}
const heapBytes = () => [...new Set(heaps)].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
</script><script src="/dist/ort.wasm.min.js"></script><script>
const report = (body) => fetch('/result', {method: 'POST', body: JSON.stringify(body)});
(async () => {
  try {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = '/dist/';
    const shape = await (await fetch('/shape')).json();
    const image = new Float32Array(await (await fetch('/image')).arrayBuffer());
    const found = {};
    for (const name of await (await fetch('/names')).json()) {
      const model = new Uint8Array(await (await fetch('/model/' + encodeURIComponent(name))).arrayBuffer());
      const start = performance.now();
      const session = await ort.InferenceSession.create(model, {executionProviders: ['wasm']});
      const loaded = performance.now() - start;
      const heap = heapBytes();
      const input = new ort.Tensor('float32', image, shape);
      const output = (await session.run({input})).logits;
      found[name] = {load_ms: loaded, heap_bytes: heap, logits: Array.from(output.data)};
    }
    await report(found);
  } catch (error) { await report({error: String(error)}); }
})();
</script>"""


def find_onnxruntime_web() -> Path | None:
    """The `dist` folder of the npm package; None where it is not installed."""
    for folder in (os.environ.get("ONNXRUNTIME_WEB"), _ROOT / "node_modules" / "onnxruntime-web"):
        if folder and (Path(folder) / "dist" / "ort.wasm.min.js").is_file():
            return Path(folder) / "dist"
    return None


def find_browser() -> str | None:
    """The command of a Chromium; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def run_in_browser(
    files: Mapping[str, bytes], image: NDArray[np.float32], *, browser: str, dist: Path
) -> dict[str, dict[str, Any]]:
    """Load every file and run it on `image`, its input `input`.

    Returns
    -------
    dict
        By name of the file: `load_ms`; `heap_bytes` of the runtime behind its load, which no load before it gives
        back; and `logits`, a list.

    Raises
    ------
    RuntimeError
        The page failed, or gave no answer in two minutes.
    """
    answer: list[dict[str, Any]] = []
    done = threading.Event()
    pages = {
        "/": ("text/html", _PAGE.encode()),
        "/image": ("application/octet-stream", image.tobytes()),
        "/shape": ("application/json", json.dumps(image.shape).encode()),
        "/names": ("application/json", json.dumps(list(files)).encode()),
    }
    pages |= {f"/model/{name}": ("application/octet-stream", content) for name, content in files.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path)
            kind, body = pages.get(path, ("text/plain", b""))
            asset = dist / Path(path).name
            if path.startswith("/dist/") and asset.is_file():
                kind, body = _KINDS.get(asset.suffix, "text/plain"), asset.read_bytes()
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

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            [browser, *flags, f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not done.wait(_SECONDS):
                raise RuntimeError(f"{browser}: no answer in {_SECONDS} s")
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
            server.server_close()
            thread.join()
    if "error" in answer[0]:
        raise RuntimeError(f"{browser}: {answer[0]['error']}")
    return answer[0]
