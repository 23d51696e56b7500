/**
 * Makes a plan's steps real, one at a time, through the kernel's door. Knows nothing of journals or undo: it either
 * finishes a step or throws what the program said.
 */
import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestSide } from '../hoststate/model.ts';
import { enslave, release } from '../kernel/handover.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { loadModule } from '../kernel/modules.ts';
import { reloadService, startServices, stopService } from '../kernel/services.ts';
import { writeSysctls } from '../kernel/sysctls.ts';
import { guestLines } from '../plan/link-lines.ts';
import type { Step } from '../plan/steps.ts';
import { inParallel } from './parallel.ts';
import { restoreSysctls, setHostSysctls } from './originals.ts';
import type { Directories, Store } from './store.ts';

export interface ExecutionContext {
  readonly kernel: Kernel;
  readonly directories: Directories;
  readonly store: Store;
  /** Where resolv.conf files of namespaces go: /etc/netns (ip-netns(8)). */
  readonly netnsConfig: string;
  /** Called with each command before it runs. */
  readonly verbose?: (line: string) => void;
}

type Runner<K extends Step['kind']> = (step: Extract<Step, { kind: K }>, context: ExecutionContext) => Promise<void>;

const runners: { readonly [K in Step['kind']]: Runner<K> } = {
  modules: async ({ modules }, { kernel, verbose }) => {
    for (const module of modules) {
      verbose?.(`modprobe ${module}`);
      await loadModule(kernel, module);
    }
  },
  ip: async ({ lines }, context) => {
    const { verbose } = context;
    for (const line of lines) verbose?.(`ip ${line}`);
    await runScript(context, 'ip', '-batch', `${lines.join('\n')}\n`);
  },
  bridge: async ({ lines }, context) => {
    for (const line of lines) context.verbose?.(`bridge ${line}`);
    await runScript(context, 'bridge', '-batch', `${lines.join('\n')}\n`);
  },
  enslave: async ({ handover, ownSettings }, { kernel, directories, verbose }) => {
    await enslave(kernel, handover, { directory: directories.run, ownSettings: new Set(ownSettings), verbose });
  },
  release: async ({ handover }, { kernel, directories, verbose }) => {
    await release(kernel, handover, { directory: directories.run, verbose });
  },
  nft: async ({ text }, context) => {
    context.verbose?.(`nft -f - <<'EOF'\n${text}EOF`);
    await runScript(context, 'nft', '-f', text);
  },
  sysctls: async ({ entries }, { kernel, store, verbose }) => {
    for (const { key, value } of entries) verbose?.(`sysctl -w ${key.replaceAll('/', '.')}=${value}`);
    await setHostSysctls(kernel, store, entries);
  },
  'restore-sysctls': async ({ keys }, { kernel, store, verbose }) => {
    await restoreSysctls(kernel, store, keys, verbose);
  },
  'netns-add': async ({ names }, { kernel, verbose }) => {
    for (const name of names) verbose?.(`ip netns add ${name}`);
    await kernel.run('ip', ['-batch', '-'], { input: names.map((name) => `netns add ${name}\n`).join(''), timeoutMs: 300_000 });
  },
  'netns-delete': async ({ names }, { kernel, netnsConfig, verbose }) => {
    for (const name of names) verbose?.(`ip netns del ${name}`);
    await kernel.run('ip', ['-batch', '-'], { input: names.map((name) => `netns del ${name}\n`).join(''), timeoutMs: 300_000 });
    for (const name of names) await rm(join(netnsConfig, name), { recursive: true, force: true });
    await rmdir(netnsConfig).catch(() => undefined);
  },
  guests: async ({ guests }, context) => {
    await inParallel(guests, 4, ({ before, after }) => configureGuest(before, after, context));
  },
  'service-start': async ({ services }, { kernel, directories, verbose }) => {
    for (const service of services) verbose?.(`start ${service.name}`);
    await startServices(kernel, services, directories);
  },
  'service-reload': async ({ services }, { kernel, directories, verbose }) => {
    for (const { after } of services) verbose?.(`reload ${after.name}`);
    await inParallel(services, 4, ({ before, after }) => reloadService(kernel, before, after, directories));
  },
  'service-stop': async ({ services }, { kernel, directories, verbose }) => {
    for (const service of services) verbose?.(`stop ${service.name}`);
    await inParallel(services, 4, (service) => stopService(kernel, service.name, directories));
  },
};

/**
 * Commands of a step, from a file: through a pipe the program would get, when Weft is killed while it writes, a beginning that looks whole, and nft
 * would take half a transaction.
 */
async function runScript({ kernel, directories }: ExecutionContext, program: string, option: string, text: string): Promise<void> {
  const path = join(directories.run, 'script');
  await mkdir(directories.run, { recursive: true });
  await writeFile(path, text, { mode: 0o600 });
  try {
    await kernel.run(program, [option, path], { timeoutMs: 300_000, endsWithWeft: true });
  } finally {
    await rm(path, { force: true });
  }
}

/** Runs one step to its end. Throws WeftError with the program's own words when it fails; part of the step may then have been done. */
export async function executeStep(step: Step, context: ExecutionContext): Promise<void> {
  // The runner looked up by a step's kind takes that step; TypeScript cannot follow the correlation.
  const runner = runners[step.kind] as (step: Step, context: ExecutionContext) => Promise<void>;
  await runner(step, context);
}

async function configureGuest(before: GuestSide | undefined, after: GuestSide, context: ExecutionContext): Promise<void> {
  const made = after.netns.kind === 'made' ? after.netns.namespace : undefined;
  const path = after.netns.kind === 'made' ? `/run/netns/${after.netns.namespace}` : after.netns.path;
  const inside = context.kernel.at(path);
  if (made !== undefined && after.resolvConf !== undefined) {
    await mkdir(join(context.netnsConfig, made), { recursive: true });
    await writeFile(join(context.netnsConfig, made, 'resolv.conf'), after.resolvConf);
  }
  if (after.sysctls.length > 0) await writeSysctls(inside, after.sysctls);
  const { leave, set } = guestLines(before, after);
  for (const line of [...leave, ...set]) context.verbose?.(`nsenter --net=${path} ip ${line}`);
  if (leave.length > 0) await inside.tryRun('ip', ['-force', '-batch', '-'], { input: `${leave.join('\n')}\n` });
  await inside.run('ip', ['-batch', '-'], { input: `${set.join('\n')}\n` });
}
