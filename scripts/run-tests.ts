/**
 * Runs the tests with node's own runner: one line a file and each failure while it runs, every failure once more at the end, then node's summary and the
 * line `N passed, N failed`.
 *
 *   node scripts/run-tests.ts [--unit] [FILE…]
 *
 * `--unit`: only files that need neither root nor a network namespace. Files that measure (`*.alone.test.ts`) run one at a time, after the others.
 * Packets go the way of bridge-nf-call-iptables 1 where br_netfilter is loaded, and the examples and VMs run once more with 0; files of the packet
 * suite that speak of `bridgeNfCall` try both by themselves.
 * test/all gives the outcome of its other checks in CHECKS (`lint=passed types=failed`); each counts as one more test.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { inspect, parseArgs } from 'node:util';

const root = join(import.meta.dirname, '..');
/** A file may take this long; a packet test that hangs must not hold up the rest. */
const fileLimitMs = 900_000;
/** Two cores: more at once only makes timing tests fail. */
const atOnce = 2;

interface Failure {
  readonly name: string;
  readonly place: string;
  readonly error: unknown;
}

interface Totals {
  tests: number;
  suites: number;
  passed: number;
  failed: number;
  cancelled: number;
  skipped: number;
  todo: number;
}

const { values, positionals } = parseArgs({ options: { unit: { type: 'boolean', default: false } }, allowPositionals: true });
const chosen =
  positionals.length > 0
    ? positionals
    : globSync('{src,test,examples,bench}/**/*.test.ts', { cwd: root })
        .filter((file) => !values.unit || !needsKernel(file))
        .toSorted();
if (!values.unit && process.getuid?.() !== 0 && chosen.some((file) => needsKernel(file))) {
  console.error(
    'The packet tests make network namespaces, which needs root: run this with sudo, or only the others with `npm run test:unit`.',
  );
  process.exit(2);
}

// Some thousand processes run the sources: each is spared half its start by what the ones before it have compiled (node's docs, `module.enableCompileCache`).
const cacheVariable = 'NODE_COMPILE_CACHE';
process.env[cacheVariable] ??= join(root, '.weft', 'compiled');

const nfCallVariable = 'WEFT_TEST_BRIDGE_NF_CALL'; // read by test/bed/host.ts
const started = performance.now();
const durations: { readonly file: string; readonly seconds: number }[] = [];
const totals: Totals = { tests: 0, suites: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 };
const failures: Failure[] = [];
noteChecks();
const packets = chosen.filter((file) => needsKernel(file));
const nfCall = process.env[nfCallVariable];
if (packets.length > 0 && !existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables'))
  console.log(
    'br_netfilter is not loaded, so nothing is tried with bridge-nf-call-iptables 1 (`modprobe br_netfilter`, if this machine may have it)',
  );
process.env[nfCallVariable] = nfCall ?? '1';
await runFiles(
  chosen.filter((file) => !isAlone(file)),
  atOnce,
);
if (nfCall === undefined && positionals.length === 0) {
  process.env[nfCallVariable] = '0';
  await runFiles(packets.filter(takesNfCall), atOnce, ', bridge-nf-call-iptables 0');
  process.env[nfCallVariable] = '1';
}
// What is measured is measured as it is without.
delete process.env[cacheVariable];
await runFiles(chosen.filter(isAlone), 1);
report();
process.exitCode = totals.failed + totals.cancelled > 0 || totals.passed === 0 ? 1 : 0;

function noteChecks(): void {
  for (const check of (process.env['CHECKS'] ?? '').split(' ').filter((word) => word !== '')) {
    const [name = '', outcome] = check.split('=');
    totals.tests += 1;
    if (outcome === 'passed') totals.passed += 1;
    else {
      totals.failed += 1;
      failures.push({ name, place: 'test/all', error: 'what it found is printed above, before the tests' });
    }
  }
}

function isAlone(file: string): boolean {
  return file.endsWith('.alone.test.ts');
}

/** The examples and the real guests: whether their bridge's frames pass iptables must make no difference. */
function takesNfCall(file: string): boolean {
  const text = readFileSync(resolve(root, file), 'utf8');
  return /^test\/(examples|vm)\//.test(file) && text.includes('withHost(') && !text.includes('bridgeNfCall');
}

/** By what it imports, also through others: the sandbox, or the kernel's door. */
function needsKernel(file: string, seen = new Set<string>()): boolean {
  const path = resolve(root, file);
  if (seen.has(path)) return false;
  seen.add(path);
  if (path.endsWith('src/kernel/open.ts') || path.endsWith('src/kernel/sandbox.ts')) return true;
  if (!existsSync(path)) return false;
  const imports = readFileSync(path, 'utf8').matchAll(/^(?:import|export)\s(?!type\s)(?:[^;'"]*?from\s*)?['"](\.[^'"]+\.ts)['"]/gm);
  return [...imports].some(([, target = '']) => needsKernel(join(dirname(path), target), seen));
}

async function runFiles(files: readonly string[], concurrency: number, under = ''): Promise<void> {
  if (files.length === 0) return;
  const stream = run({ files: files.map((file) => join(root, file)), cwd: root, concurrency, timeout: fileLimitMs });
  for await (const event of stream) {
    if (event.type === 'test:fail') noteFailure(event.data, under);
    else if (event.type === 'test:stdout' || event.type === 'test:stderr') process.stdout.write(event.data.message);
    else if (event.type === 'test:summary') noteSummary(event.data, under);
  }
}

interface FailEvent {
  readonly name: string;
  readonly file?: string;
  readonly line?: number;
  readonly details: { readonly error: Error & { failureType?: string; cause?: unknown } };
}

function noteFailure(event: FailEvent, under: string): void {
  const { error } = event.details;
  // A suite or file that only says "a subtest failed" repeats what is listed already.
  if (error.failureType === 'subtestsFailed') return;
  const place = event.file === undefined ? '' : `${relative(root, event.file)}${event.line === undefined ? '' : `:${event.line}`}`;
  failures.push({ name: event.name, place: `${place}${under}`, error: error.cause ?? error });
  console.log(`FAILED ${place}${under} ${event.name}\n${indent(shortened(textOf(error.cause ?? error)))}`);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : inspect(error);
}

interface SummaryEvent {
  readonly file?: string | undefined;
  readonly duration_ms: number;
  readonly counts: { tests: number; suites: number; passed: number; cancelled: number; skipped: number; todo: number };
  readonly success: boolean;
}

function noteSummary({ file, duration_ms, counts }: SummaryEvent, under: string): void {
  const { tests, suites, passed, cancelled, skipped, todo } = counts;
  if (file !== undefined) {
    const bad = tests - passed - skipped - todo;
    durations.push({ file: `${relative(root, file)}${under}`, seconds: duration_ms / 1000 });
    const word = bad > 0 ? 'not ok' : 'ok    ';
    console.log(
      `${word} ${relative(root, file)}${under}: ${passed} passed${bad > 0 ? `, ${bad} failed` : ''}${skipped > 0 ? `, ${skipped} skipped` : ''}, ${(duration_ms / 1000).toFixed(1)} s`,
    );
    return;
  }
  totals.tests += tests;
  totals.suites += suites;
  totals.passed += passed;
  totals.cancelled += cancelled;
  totals.skipped += skipped;
  totals.todo += todo;
  totals.failed += tests - passed - cancelled - skipped - todo;
}

function report(): void {
  for (const [index, { name, place, error }] of failures.entries()) {
    console.log(`\n${index + 1}) ${name}\n   ${place}\n${indent(shortened(textOf(error)))}`);
  }
  const { tests, suites, passed, failed, cancelled, skipped, todo } = totals;
  const slowest = durations.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10);
  console.log(`\nThe slowest files:\n${slowest.map(({ file, seconds }) => `${seconds.toFixed(1).padStart(7)} s  ${file}`).join('\n')}`);
  console.log(
    `\nℹ tests ${tests}\nℹ suites ${suites}\nℹ pass ${passed}\nℹ fail ${failed}\nℹ cancelled ${cancelled}\nℹ skipped ${skipped}\nℹ todo ${todo}\nℹ duration_ms ${(performance.now() - started).toFixed(0)}`,
  );
  console.log(`${passed} passed, ${failed + cancelled} failed`);
}

/** Some errors quote a whole ruleset: begin and end say enough. */
function shortened(text: string): string {
  const lines = text.split('\n').map((line) => (line.length > 300 ? `${line.slice(0, 300)} …` : line));
  return lines.length <= 60 ? lines.join('\n') : [...lines.slice(0, 40), `… ${lines.length - 60} lines …`, ...lines.slice(-20)].join('\n');
}

function indent(text: string): string {
  return text.replace(/^/gm, '   ');
}
