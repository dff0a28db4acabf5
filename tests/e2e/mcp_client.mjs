// SPDX-License-Identifier: Apache-2.0
// The MCP SDK's own client on an MCP server over pipes, driven by lines of JSON on standard input:
// {"tool": NAME, "arguments": {…}, "cancel": true} each gives one line; the first line is who the server is and its tools.
// usage: mcp_client.mjs NODE_MODULES COMMAND ARGUMENT…
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [modules, command, ...args] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(modules, '@modelcontextprotocol/sdk/dist/esm', path)));
const { Client } = await load('client/index.js');
const { StdioClientTransport } = await load('client/stdio.js');
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');

const client = new Client({ name: 'e2e', version: '1' }, { capabilities: {} });
await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' }));
await client.ping();
const { tools } = await client.listTools();
say({ server: client.getServerVersion(), capabilities: client.getServerCapabilities(), tools });
for await (const line of createInterface({ input: process.stdin })) {
  const { tool, arguments: given, cancel } = JSON.parse(line);
  const progress = [];
  const stop = new AbortController();
  const options = { timeout: 60000, resetTimeoutOnProgress: true, signal: stop.signal, onprogress: (p) => progress.push(p) };
  if (cancel) options.onprogress = () => stop.abort('enough');
  try {
    say({ result: await client.callTool({ name: tool, arguments: given }, undefined, options), progress });
  } catch (error) {
    say({ error: { code: error.code ?? null, message: String(error.message ?? error) }, progress });
  }
}
await client.close();
