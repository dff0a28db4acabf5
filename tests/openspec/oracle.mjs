// The real OpenSpec, asked over a pipe: one JSON request a line, one JSON answer a line.
// OPENSPEC_DIST: the dist folder of the npm package @fission-ai/openspec, version 1.13.2.
//
// Texts travel as base64, so that a request can hold any bytes. A request is {op, …}:
//   spec      {text}                 reader A: overview, requirement texts, number of scenarios
//   delta     {text}                 reader B: everything it finds in a delta
//   section   {text}                 reader B: a main spec in slices
//   structure {text}                 headers that make a main spec unreadable
//   tasks     {text}                 checkboxes
//   validate  {text, strict}         a main spec
//   merge     {main?, delta}         one delta applied; capability "a", change "c"
//   folder    {path}                 an openspec/ folder on disk: validate, list and show all, then each change
//                                    archived by itself on a copy; the specs afterwards
//   tree      {files, change}        a whole openspec/ folder: validate all, normal and strict, list, show,
//                                    then archive the change; answers and the files afterwards
// The answer is {ok: …} or {error: text}.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';

const work = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'openspec-oracle-')));
process.env.XDG_CONFIG_HOME = path.join(work, 'config');
process.env.XDG_DATA_HOME = path.join(work, 'data');
process.env.OPENSPEC_TELEMETRY = '0';
process.env.TZ = 'UTC';
process.on('exit', () => fs.rmSync(work, { recursive: true, force: true }));

const dist = pathToFileURL(path.resolve(process.env.OPENSPEC_DIST) + '/').href;
const load = file => import(dist + file);
const { Validator } = await load('core/validation/validator.js');
const { MarkdownParser } = await load('core/parsers/markdown-parser.js');
const blocks = await load('core/parsers/requirement-blocks.js');
const { findMainSpecStructureIssues } = await load('core/parsers/spec-structure.js');
const { parseTaskLines } = await load('utils/task-progress.js');
const { findNestedChangesIn, describeNestedChange } = await load('utils/nested-change.js');
const { discoverSpecFiles } = await load('utils/spec-discovery.js');
const { getActiveChangeIds } = await load('utils/item-discovery.js');
const { buildUpdatedSpec } = await load('core/specs-apply.js');
const { ArchiveCommand } = await load('core/archive.js');
const { ListCommand } = await load('core/list.js');
const { ChangeCommand } = await load('commands/change.js');
const { SpecCommand } = await load('commands/spec.js');

const say = console.log;
console.warn = console.error = () => {};
process.emitWarning = () => {};

const bytes = b64 => Buffer.from(b64, 'base64');
const text = b64 => bytes(b64).toString('utf-8');
const report = r => ({ valid: r.valid, issues: r.issues.map(i => JSON.parse(JSON.stringify(i))) });

const mainDir = path.join(work, 'main'), deltaDir = path.join(work, 'delta');
fs.mkdirSync(mainDir);
fs.mkdirSync(deltaDir);
const mainFile = path.join(mainDir, 'spec.md'), deltaFile = path.join(deltaDir, 'spec.md');

async function merge(q) {
  fs.writeFileSync(deltaFile, bytes(q.delta));
  if (q.main === undefined) fs.rmSync(mainFile, { force: true });
  else fs.writeFileSync(mainFile, bytes(q.main));
  const r = await buildUpdatedSpec(
    { id: 'a', sourceRoot: deltaDir, source: deltaFile, targetRoot: mainDir, target: mainFile, exists: q.main !== undefined },
    'c', { silent: true });
  return { rebuilt: r.rebuilt, ...r.counts, empty: r.noRequirementBlocks, unaccounted: r.unaccountedContent,
    warnings: r.warnings.map(w => w.replaceAll(mainFile, 'MAIN')) };
}

function listing(dir, below = '') {
  let out = {};
  for (const e of fs.readdirSync(path.join(dir, below), { withFileTypes: true })) {
    const rel = below ? below + '/' + e.name : e.name;
    if (e.isDirectory()) Object.assign(out, listing(dir, rel));
    else out[rel] = fs.readFileSync(path.join(dir, rel)).toString('base64');
  }
  return out;
}

// What a command prints.
async function printed(command) {
  const lines = [];
  console.log = line => lines.push(line);
  process.exitCode = 0;
  try {
    await command();
  } finally {
    console.log = say;
    process.exitCode = 0;
  }
  return lines.join('\n');
}

async function archive(root, change) {
  const lines = await printed(() => new ArchiveCommand().execute(change, { json: true, yes: true }));
  const today = new Date().toISOString().slice(0, 10);
  const out = JSON.parse(lines.replaceAll(root + '/', '').replaceAll(today, 'TODAY'));
  return out.archive ? { ok: out.archive } : { status: out.status[0] };
}

// A document, or why there is none.
async function shown(command, root) {
  try {
    return JSON.parse(await printed(command));
  } catch (e) {
    return { error: e.message.replaceAll(root + '/', '') };
  }
}

// Every spec and change below root, normal and strict; listed; shown.
async function reports(root, spec) {
  const answer = { specs: {}, changes: {}, shown: {} };
  answer.listed = { ...await shown(() => new ListCommand().execute(root, 'changes', { json: true, sort: 'name' })),
    ...await shown(() => new ListCommand().execute(root, 'specs', { json: true })) };
  answer.listed.changes.forEach(c => { c.lastModified = ''; });
  answer.listed.changes = answer.listed.changes.filter(c => !c.name.startsWith('.'));
  for (const { id } of await discoverSpecFiles(path.join(spec, 'specs')))
    answer.shown['spec ' + id] = await shown(() => new SpecCommand(root).show(id, { json: true }), root);
  for (const id of await getActiveChangeIds(root))
    answer.shown['change ' + id] = await shown(() => new ChangeCommand(root).show(id, { json: true }), root);
  for (const strict of [false, true]) {
    const v = new Validator(strict), key = strict ? 'strict' : 'normal';
    for (const { id, specFile } of await discoverSpecFiles(path.join(spec, 'specs')))
      (answer.specs[id] ??= {})[key] = report(await v.validateSpec(specFile));
    for (const id of await getActiveChangeIds(root)) {
      const nested = await findNestedChangesIn(path.join(spec, 'changes'), id);
      (answer.changes[id] ??= {})[key] = nested
        ? { valid: false, issues: [{ level: 'ERROR', path: 'file', message: describeNestedChange(nested) }] }
        : report(await v.validateChangeDeltaSpecs(path.join(spec, 'changes', id), { mainSpecsDir: path.join(spec, 'specs'), projectRoot: root }));
    }
  }
  return answer;
}

const dated = files => {
  const today = new Date().toISOString().slice(0, 10);
  return Object.fromEntries(Object.entries(files).map(([k, v]) => [k.replaceAll(today, 'TODAY'), v]));
};

let trees = 0;
const place = () => {
  const root = path.join(work, 'tree' + trees++), spec = path.join(root, 'openspec');
  return { root, spec };
};

async function tree(q) {
  const { root, spec } = place();
  fs.mkdirSync(path.join(spec, 'changes', 'archive'), { recursive: true });
  for (const [name, b64] of Object.entries(q.files)) {
    const file = path.join(spec, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, bytes(b64));
  }
  process.chdir(root);
  const answer = await reports(root, spec);
  if (q.change) answer.archive = await archive(root, q.change);
  answer.after = dated(listing(spec));
  process.chdir(work);
  fs.rmSync(root, { recursive: true, force: true });
  return answer;
}

async function folder(q) {
  const { root, spec } = place();
  const fresh = () => {
    fs.rmSync(root, { recursive: true, force: true });
    fs.cpSync(q.path, spec, { recursive: true });
    process.chdir(root);
  };
  fresh();
  const answer = await reports(root, spec);
  answer.archives = {};
  for (const change of await getActiveChangeIds(root)) {
    fresh();
    const result = await archive(root, change);
    const specs = path.join(spec, 'specs');
    result.specs = fs.existsSync(specs) ? Object.fromEntries(Object.entries(listing(specs)).map(([k, v]) => ['specs/' + k, v])) : {};
    answer.archives[change] = result;
    process.chdir(work);
  }
  fs.rmSync(root, { recursive: true, force: true });
  return answer;
}

const ops = {
  spec: q => {
    const s = new MarkdownParser(text(q.text)).parseSpec('a');
    return { overview: s.overview, requirements: s.requirements.map(r => ({ text: r.text, scenarios: r.scenarios.length })) };
  },
  delta: q => {
    const d = blocks.parseDeltaSpec(text(q.text));
    const brief = b => ({ name: b.name, raw: b.raw });
    return { added: d.added.map(brief), modified: d.modified.map(brief), removed: d.removed, renamed: d.renamed,
      unpaired: d.unpairedRenames, orphans: d.orphanedRequirements.map(o => ({ ...o, section: o.section ?? '' })), skipped: d.skippedHeaders, present: d.sectionPresence };
  },
  section: q => {
    const s = blocks.extractRequirementsSection(text(q.text));
    return { before: s.before.trimEnd(), header: s.headerLine, preamble: s.preamble, after: s.after.trim(), blocks: s.bodyBlocks.map(b => ({ name: b.name, raw: b.raw })) };
  },
  structure: q => findMainSpecStructureIssues(text(q.text)).map(i => ({ line: i.line, message: i.message })),
  tasks: q => parseTaskLines(text(q.text)),
  validate: async q => report(await new Validator(!!q.strict).validateSpecContent('a', text(q.text))),
  merge, tree, folder,
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer;
  try {
    const q = JSON.parse(line);
    answer = { ok: await ops[q.op](q) };
  } catch (e) {
    answer = { error: e.message };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
