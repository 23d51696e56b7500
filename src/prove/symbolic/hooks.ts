/**
 * The base chains of all tables at a hook, in the kernel's order: by priority, whoever's they are. Connection tracking and translation have their own places among
 * them (NF_IP_PRI_CONNTRACK, NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC in linux/netfilter_ipv4.h; nat chains run there whatever priority they have, which only
 * orders them among themselves).
 */
import type { NftChain, NftTable } from '../../hoststate/nft.ts';
import type { KernelModel } from '../kernel-model.ts';
import { passBaseChain } from './chain.ts';
import type { Hook, Machinery } from './chain.ts';
import { concerns } from './collect.ts';
import type { Env, Slot, State } from './env.ts';
import { merge, where, withinSpans } from './env.ts';
import { joinSpans } from './layout.ts';
import { SCTP, TCP } from '../../net/protocols.ts';

const CONNTRACK = -200;
const NAT_DST = -100;
const NAT_SRC = 100;

interface BaseChain {
  readonly table: NftTable;
  readonly chain: NftChain;
  readonly priority: number;
}

interface DeviceGroup {
  readonly devices: ReadonlySet<string>;
  readonly chains: readonly BaseChain[];
}

type Work = { readonly at: number; readonly run: (states: readonly State[]) => readonly State[] };

export class Hooks {
  private readonly machinery: Machinery;
  private readonly inet: readonly BaseChain[];
  private readonly bridge: readonly BaseChain[];
  private readonly devices: Readonly<Record<'ingress' | 'egress', readonly DeviceGroup[]>>;

  constructor(machinery: Machinery, model: KernelModel) {
    this.machinery = machinery;
    const { family } = machinery.universe;
    const all = model.tables
      .filter((table) => concerns(table, family))
      .flatMap((table) => table.chains.flatMap((chain) => (chain.base ? [{ table, chain, priority: chain.base.priority }] : [])));
    const isDevice = ({ chain }: BaseChain): boolean => chain.base?.hook === 'ingress' || chain.base?.hook === 'egress';
    this.inet = all.filter((one) => !isDevice(one) && one.table.family !== 'bridge' && one.table.family !== 'netdev');
    this.bridge = all.filter((one) => !isDevice(one) && one.table.family === 'bridge');
    const byDevice = all.filter(isDevice);
    this.devices = {
      ingress: groupDevices(byDevice.filter(({ chain }) => chain.base?.hook === 'ingress')),
      egress: groupDevices(byDevice.filter(({ chain }) => chain.base?.hook === 'egress')),
    };
  }

  get looksAtEgress(): boolean {
    return this.devices.egress.length > 0;
  }

  /** netdev ingress or egress of the interface in the slot. */
  device(hook: 'ingress' | 'egress', states: readonly State[], interfaceOf: (env: Env) => Slot<string>): readonly State[] {
    const { universe } = this.machinery;
    const { bdd, fields } = universe;
    const groups = this.devices[hook];
    if (groups.length === 0) return states;
    const passed: State[] = [];
    for (const state of states) {
      const slot = interfaceOf(state.env);
      let rest = state.set;
      for (const { devices, chains } of groups) {
        const here = bdd.and(rest, where(bdd, fields, slot, (name) => devices.has(name)) ?? 0);
        if (here === 0) continue;
        rest = bdd.minus(rest, here);
        let through: readonly State[] = [{ env: state.env, set: here }];
        for (const { table, chain } of chains) through = passBaseChain(this.machinery, table, chain, through);
        passed.push(...through);
      }
      passed.push({ env: state.env, set: rest });
    }
    return merge(bdd, passed);
  }

  hasBridged(hook: Hook): boolean {
    return this.bridge.some(({ chain }) => chain.base?.hook === hook);
  }

  bridged(hook: Hook, states: readonly State[]): readonly State[] {
    let through = states;
    for (const { table, chain } of sorted(this.bridge, hook)) through = passBaseChain(this.machinery, table, chain, through);
    return through;
  }

  /** The hooks of IP. `again`: a packet that comes back by the loopback interface, whose connection is known already. */
  ip(hook: Hook, states: readonly State[], again = false): readonly State[] {
    const work: Work[] = [];
    const nat = sorted(this.inet, hook).filter(({ chain }) => chain.base?.type === 'nat');
    for (const { table, chain, priority } of sorted(this.inet, hook)) {
      if (chain.base?.type !== 'nat') work.push({ at: priority, run: (now) => passBaseChain(this.machinery, table, chain, now) });
    }
    const destination = hook === 'prerouting' || hook === 'output';
    if (destination && !again) work.push({ at: CONNTRACK - 0.5, run: (now) => now.flatMap((state) => this.track(state)) });
    if (hook !== 'forward' && !again)
      work.push({ at: destination ? NAT_DST : NAT_SRC, run: (now) => this.translate(now, nat, destination) });
    work.sort((a, b) => a.at - b.at);
    let through = states;
    for (const { run } of work) {
      if (through.length === 0) break;
      through = run(through);
    }
    return merge(this.machinery.universe.bdd, through);
  }

  private track(state: State): readonly State[] {
    const { bdd, fields, protocols } = this.machinery.universe;
    const { env, set } = state;
    if (env.tracking !== 'none') return [state];
    if (!env.reply) return [{ env: { ...env, tracking: 'new', tracked: true }, set }];
    if (env.tracked) return [{ env: { ...env, tracking: 'established' }, set }];
    // An answer to what nobody tracked begins nothing in protocols that have openings of their own, and is invalid (nf_conntrack_proto_tcp.c and others).
    const spans = joinSpans([1, TCP, 33, 58, SCTP].map((number) => protocols.span(BigInt(number), BigInt(number))));
    const invalid = withinSpans(bdd, fields, env.protocol, spans) ?? 0;
    return [
      { env, set: bdd.and(set, invalid) },
      { env: { ...env, tracking: 'new' }, set: bdd.minus(set, invalid) },
    ];
  }

  private translate(states: readonly State[], chains: readonly BaseChain[], destination: boolean): readonly State[] {
    const done: State[] = [];
    let open: readonly State[] = states;
    for (const { env, set } of states) if (env.reply) done.push({ env: restored(env, destination), set });
    open = open.filter(({ env }) => !env.reply);
    const settled = ({ env }: State): boolean => env.tracking !== 'new' || (destination ? env.dnat : env.snat);
    for (const { table, chain } of chains) {
      done.push(...open.filter(settled));
      open = passBaseChain(
        this.machinery,
        table,
        chain,
        open.filter((state) => !settled(state)),
      );
    }
    return merge(this.machinery.universe.bdd, [...done, ...open]);
  }
}

/** A reply gets back the addresses that its connection was opened with (nf_nat_core.c: nf_nat_packet()). */
function restored(env: Env, destination: boolean): Env {
  if (env.tracking !== 'established') return env;
  if (destination) return env.snat ? { ...env, destination: env.original.source, dport: env.original.sport } : env;
  return env.dnat ? { ...env, source: env.original.destination, sport: env.original.dport } : env;
}

function sorted(chains: readonly BaseChain[], hook: Hook): readonly BaseChain[] {
  return chains.filter(({ chain }) => chain.base?.hook === hook).sort((a, b) => a.priority - b.priority);
}

/** Devices with the same chains, together: ten thousand ports are one question. */
function groupDevices(chains: readonly BaseChain[]): readonly DeviceGroup[] {
  const byDevice = new Map<string, BaseChain[]>();
  for (const one of chains) {
    for (const device of one.chain.base?.devices ?? []) {
      const list = byDevice.get(device);
      if (list) list.push(one);
      else byDevice.set(device, [one]);
    }
  }
  const groups = new Map<string, { devices: Set<string>; chains: readonly BaseChain[] }>();
  for (const [device, own] of byDevice) {
    own.sort((a, b) => a.priority - b.priority);
    const key = own
      .map(({ table, chain, priority }) => JSON.stringify([table.family, table.name, priority, chain.base?.policy, chain.rules]))
      .join();
    const group = groups.get(key);
    if (group) group.devices.add(device);
    else groups.set(key, { devices: new Set([device]), chains: own });
  }
  return [...groups.values()];
}
