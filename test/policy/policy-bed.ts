/**
 * A host with guests made straight from a compiled host state, with none of Weft's transaction: what these tests show is the policy, not how it gets into the kernel.
 * Outer world, host and guests are namespaces of a sandbox. Services are left out; a listener on dnsmasq's port stands for DNS.
 */
import { compileHost } from '../../src/compile/host.ts';
import { hostPolicy } from '../../src/compile/policy.ts';
import type { HostPolicy } from '../../src/compile/policy-model.ts';
import type { Fabric } from '../../src/fabric/model.ts';
import type { HostFacts, HostState } from '../../src/hoststate/model.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { openKernel } from '../../src/kernel/open.ts';
import { dropTable, printTable } from '../../src/hoststate/nft-print.ts';
import { guestLines } from '../../src/plan/link-lines.ts';
import { emptyState, planChanges } from '../../src/plan/plan.ts';
import type { Step } from '../../src/plan/steps.ts';
import { ipBatch, makeBed, type Bed, type BedNamespace } from '../../src/twin/bed.ts';
import { createProber, type Prober, type ProbeResult } from '../../src/twin/prober.ts';
import { smallFabric, smallFacts, type Small } from './small-fabric.ts';

export const OUTSIDE4 = '198.51.100.7';
export const OUTSIDE6 = '2001:db8:c633::7';

export interface PolicyBed {
  readonly kernel: Kernel;
  readonly host: BedNamespace;
  readonly outer: BedNamespace;
  readonly prober: Prober;
  readonly fabric: Fabric;
  readonly policy: HostPolicy;
  readonly state: HostState;
  /** `host`, `outer`, or a guest's name. */
  readonly at: (name: string) => Kernel;
  path(name: string): string;
  /** First address of the family of a guest; of a NIC with `guest.network`. */
  address(name: string, family: 4 | 6): string;
  /** Puts another policy in the place of this one, in one transaction, and forgets all connections. Networks and guests stay. */
  change(small: Small): Promise<void>;
  probe(from: string, to: string, address: string, protocol: 'tcp' | 'udp' | 'icmp', port?: number): Promise<ProbeResult>;
}

export interface BedOptions {
  readonly bridgeNfCall?: 0 | 1;
  readonly facts?: Partial<HostFacts>;
  /** Prefixes the outer world sends to the host, as a neighbour on the wire could. */
  readonly routes?: readonly string[];
}

let beds = 0;

/** Makes the host, runs `test`, removes everything. */
export async function withPolicy(small: Small, options: BedOptions, test: (bed: PolicyBed) => Promise<void>): Promise<void> {
  const kernel = openKernel();
  const facts: HostFacts = { ...smallFacts, ...options.facts };
  const addresses = facts.uplink?.addresses ?? [];
  const bed = await makeBed(kernel, `pol${++beds}-`, [
    {
      name: 'host',
      uplink: facts.uplink?.name ?? 'up0',
      addresses,
      routes: options.routes ?? [],
      ...(options.bridgeNfCall === undefined ? {} : { bridgeNfCall: options.bridgeNfCall }),
    },
  ]);
  const prober = createProber(kernel);
  let made: HostState | undefined;
  try {
    let fabric = smallFabric(small);
    let state = compileHost(fabric, 'host', facts, { services: () => [] });
    await carryOut(bed, planChanges(emptyState('pol', 'host'), state).steps);
    made = state;
    const open = openBed(bed, prober, facts, () => ({ fabric, state }));
    await test({
      ...open,
      get fabric() {
        return fabric;
      },
      get policy() {
        return hostPolicy(fabric, 'host', facts);
      },
      get state() {
        return state;
      },
      change: async (next) => {
        fabric = smallFabric(next);
        state = compileHost(fabric, 'host', facts, { services: () => [] });
        const text = state.tables.filter((table) => table.family === 'inet').map((table) => dropTable(table) + printTable(table));
        await bed.host('host').kernel.run('nft', ['-f', '-'], { input: text.join('') });
        await bed.host('host').kernel.tryRun('conntrack', ['-F']);
      },
    });
  } finally {
    await prober.close();
    if (made)
      for (const guest of made.guests) if (guest.netns.kind === 'made') await kernel.tryRun('ip', ['netns', 'del', guest.netns.namespace]);
    await bed.close();
  }
}

function openBed(
  bed: Bed,
  prober: Prober,
  _facts: HostFacts,
  now: () => { readonly fabric: Fabric; readonly state: HostState },
): Omit<PolicyBed, 'fabric' | 'policy' | 'state' | 'change'> {
  const path = (name: string): string => {
    if (name === 'host') return bed.host('host').path;
    if (name === 'outer') return bed.outer.path;
    return `/run/netns/pol-${name}`;
  };
  const kernel = openKernel();
  return {
    kernel,
    host: bed.host('host'),
    outer: bed.outer,
    prober,
    path,
    at: (name) => kernel.at(path(name)),
    address: (name, family) => {
      const [guestName, network] = name.split('.');
      const nics = now().fabric.guests.find((guest) => guest.name === guestName)?.nics ?? [];
      const nic = nics.find((candidate) => network === undefined || candidate.network === network);
      const address = family === 4 ? nic?.v4 : nic?.v6;
      if (address === undefined) throw new Error(`${name} has no IPv${family} address`);
      return address;
    },
    probe: (from, to, address, protocol, port = 80) => prober.probe({ from: path(from), at: path(to), to: address, protocol, port }),
  };
}

/** The steps of a plan, one after the other. A failure throws; there is no undo. */
async function carryOut(bed: Bed, steps: readonly Step[]): Promise<void> {
  const { kernel } = bed.host('host');
  for (const step of steps) {
    if (step.kind === 'ip') await ipBatch(kernel, step.lines);
    else if (step.kind === 'bridge') await kernel.run('bridge', ['-batch', '-'], { input: `${step.lines.join('\n')}\n` });
    else if (step.kind === 'nft') await kernel.run('nft', ['-f', '-'], { input: step.text });
    else if (step.kind === 'sysctls') for (const { key, value } of step.entries) await kernel.writeSysctl(key, value);
    else if (step.kind === 'netns-add') for (const name of step.names) await kernel.run('ip', ['netns', 'add', name]);
    else if (step.kind === 'guests') {
      for (const { before, after } of step.guests) {
        if (after.netns.kind !== 'made') continue;
        const inside = kernel.at(`/run/netns/${after.netns.namespace}`);
        for (const { key, value } of after.sysctls) await inside.writeSysctl(key, value);
        const { leave, set } = guestLines(before, after);
        await ipBatch(inside, [...leave, ...set]);
      }
    }
  }
}
