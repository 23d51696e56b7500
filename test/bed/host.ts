/**
 * A host for a packet test: a fresh namespace with an uplink into an outer world, the real `weft` command run inside it with directories of
 * its own, probes and captures between any two namespaces. Test files import `sandboxed.ts` first; then nothing can be left on the machine,
 * and `leftovers` is about what Weft itself leaves.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunOptions, RunResult } from '../../src/kernel/kernel.ts';
import { openKernel } from '../../src/kernel/open.ts';
import { insideSandbox } from '../../src/kernel/sandbox.ts';
import type { Bed, BedHost, BedNamespace } from '../../src/twin/bed.ts';
import { makeBed, removeNamespace } from '../../src/twin/bed.ts';
import { createProber } from '../../src/twin/prober.ts';
import type { Held, HoldRequest, Probe, Prober, ProbeResult } from '../../src/twin/prober.ts';
import { snapshot } from './snapshot.ts';
import type { Snapshot } from './snapshot.ts';

export interface HostOptions {
  /** Text of weft.yaml. */
  readonly file?: string;
  /** Default 203.0.113.10/24, .11/24 and 2001:db8:cb00::10/64 on `eth0`, gateway the first address of each subnet. */
  readonly host?: Partial<BedHost>;
  /** Default: `WEFT_TEST_BRIDGE_NF_CALL` (0 or 1), else the kernel's; the suite runs with both. */
  readonly bridgeNfCall?: 0 | 1;
}

/** Outside every subnet of the default bed; the outer world answers on them. */
export const internet4 = '198.51.100.7';
export const internet6 = '2001:db8:c633::7';

export interface HostBed {
  readonly host: BedNamespace;
  readonly outer: BedNamespace;
  readonly prober: Prober;
  /** Holds weft.yaml and weft.lock, `state/` and `run/`. */
  readonly directory: string;
  readonly file: string;
  writeFile(text: string): void;
  /** Runs `weft ARGS -f FILE --state-dir … --run-dir …` inside the host; whatever it exits with. */
  tryWeft(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** As `tryWeft`, but throws with both outputs unless it exits 0; resolves to standard output. */
  weft(...args: string[]): Promise<string>;
  /** `weft … --json`, parsed. */
  json(...args: string[]): Promise<unknown>;
  /** The namespace of a guest of kind namespace. */
  guest(name: string): BedNamespace;
  /** One more empty namespace, to attach as a container. */
  namespace(name: string): Promise<BedNamespace>;
  /** From and to by guest name, `host` or `outer`, to an address. `at` says who is to answer. */
  probe(from: string, at: string | undefined, probe: Omit<Probe, 'from' | 'at'>): Promise<ProbeResult>;
  hold(from: string, at: string, flow: Omit<HoldRequest, 'from' | 'at'>): Promise<Held>;
  snapshot(): Promise<Snapshot>;
  /** What is there that was not when the bed was made: namespaces, processes of Weft, files in its directories. */
  leftovers(): string[];
}

let beds = 0;

/** Makes a host, runs `test`, and removes everything, also when it throws. */
export async function withHost(options: HostOptions, test: (bed: HostBed) => Promise<void>): Promise<void> {
  if (!insideSandbox()) throw new Error("Packet tests import '../bed/sandboxed.ts' first.");
  const kernel = openKernel();
  const prefix = `t${++beds}-`;
  mkdirSync('/run/weft-tests', { recursive: true });
  const directory = mkdtempSync('/run/weft-tests/');
  const file = join(directory, 'weft.yaml');
  const addresses = ['203.0.113.10/24', '203.0.113.11/24', '2001:db8:cb00::10/64'];
  const bridgeNfCall = options.bridgeNfCall ?? nfCallOfEnvironment();
  const nfCall = bridgeNfCall === undefined ? {} : { bridgeNfCall };
  const bed = await makeBed(kernel, prefix, [{ addresses, ...nfCall, ...options.host, name: 'host' }]);
  const prober = createProber(kernel);
  const fabrics = new Set<string>();
  const writeFile = (text: string): void => {
    const fabric = fabricOf(text);
    if (fabric !== undefined) fabrics.add(fabric);
    writeFileSync(file, text);
  };
  if (options.file !== undefined) writeFile(options.file);
  const guestNamespaces = (): string[] =>
    readdirSync('/run/netns').filter((name) => [...fabrics].some((fabric) => name.startsWith(`${fabric}-`)));
  try {
    await test(openBed({ bed, prober, directory, file, writeFile, guestNamespaces }));
  } finally {
    await prober.close();
    await bed.close();
    for (const name of guestNamespaces()) await removeNamespace(kernel, name);
    for (const pid of processesOf(directory)) killQuietly(pid);
    rmSync(directory, { recursive: true, force: true });
  }
}

function nfCallOfEnvironment(): 0 | 1 | undefined {
  const text = process.env['WEFT_TEST_BRIDGE_NF_CALL'];
  return text === '0' ? 0 : text === '1' ? 1 : undefined;
}

interface BedParts {
  readonly bed: Bed;
  readonly prober: Prober;
  readonly directory: string;
  readonly file: string;
  readonly writeFile: (text: string) => void;
  /** Those that belong to a fabric this bed has had. */
  readonly guestNamespaces: () => string[];
}

function openBed({ bed, prober, directory, file, writeFile, guestNamespaces }: BedParts): HostBed {
  const host = bed.host('host');

  async function tryWeft(args: readonly string[], options?: RunOptions): Promise<RunResult> {
    const where = ['-f', file, '--state-dir', join(directory, 'state'), '--run-dir', join(directory, 'run')];
    return host.kernel.tryRun(process.execPath, [program, ...args, ...where], options);
  }
  async function weft(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await tryWeft(args);
    if (status !== 0) throw new Error(`weft ${args.join(' ')} exited with ${status}\n${stdout}\n${stderr}`);
    return stdout;
  }
  function place(name: string): string {
    if (name === 'host') return host.path;
    if (name === 'outer') return bed.outer.path;
    return guest(name).path;
  }
  function guest(name: string): BedNamespace {
    const fabric = fabricOf(readFileSync(file, 'utf8'));
    if (fabric === undefined) throw new Error("The test's weft.yaml needs a `name:`.");
    const full = `${fabric}-${name.toLowerCase()}`;
    return { name: full, path: `/run/netns/${full}`, kernel: host.kernel.at(`/run/netns/${full}`) };
  }
  return {
    host,
    outer: bed.outer,
    prober,
    directory,
    file,
    writeFile,
    tryWeft,
    weft,
    json: async (...args) => JSON.parse(await weft(...args, '--json')),
    guest,
    namespace: (name) => bed.namespace(name),
    probe: (from, at, probe) => prober.probe({ ...probe, from: place(from), ...(at === undefined ? {} : { at: place(at) }) }),
    hold: (from, at, flow) => prober.hold({ ...flow, from: place(from), at: place(at) }),
    snapshot: () => snapshot(host.kernel),
    leftovers: () => [
      ...guestNamespaces().map((name) => `namespace ${name}`),
      ...processesOf(directory).map((pid) => `process ${pid}: ${commandLine(pid)}`),
      ...['run', 'state'].flatMap((name) =>
        existsSync(join(directory, name))
          ? readdirSync(join(directory, name), { recursive: true }).map((path) => `file ${name}/${String(path)}`)
          : [],
      ),
      ...(existsSync('/etc/netns') ? readdirSync('/etc/netns').map((name) => `file /etc/netns/${name}`) : []),
    ],
  };
}

/** Tests with guests of kind namespace name their fabric, those that run at once differently. */
function fabricOf(text: string): string | undefined {
  return /^name: *([\w-]+)/m.exec(text)?.[1];
}

/** `WEFT_TEST_PROGRAM` (the bundle, say) runs in its place. */
const program = process.env['WEFT_TEST_PROGRAM'] ?? join(import.meta.dirname, '../../src/cli/main.ts');

/** Processes whose command line speaks of this test's directory, other than the test itself. */
function processesOf(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && commandLine(pid).includes(directory));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
