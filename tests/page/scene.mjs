// Serves the fixed scene of tests/fixtures/page on loopback, shows it to the browser with look.mjs, and takes pictures of it.
//
//     node scene.mjs EXPECTED.json PICTURES

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, "../..");
const FILES = {
  "/": ["tests/fixtures/page/scene.html", "text/html; charset=utf-8"],
  "/style.css": ["src/admin/page/style.css", "text/css; charset=utf-8"],
  "/page.js": ["src/admin/page/page.js", "text/javascript; charset=utf-8"],
  "/icon.svg": ["src/admin/page/icon.svg", "image/svg+xml"],
};
const POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'";

const server = http.createServer((request, response) => {
  const found = FILES[request.url];
  if (found === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": found[1], "content-security-policy": POLICY });
  response.end(fs.readFileSync(path.join(root, found[0])));
});
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}/`;
  const look = spawn(process.execPath, [path.join(here, "look.mjs"), url, ...process.argv.slice(2)], { stdio: "inherit" });
  look.on("exit", (status) => {
    server.close();
    process.exitCode = status ?? 1;
  });
});
