/** What the kernel refuses by itself: sources that cannot be, ways back that lead elsewhere, and passing on at all where forwarding is off. */
import type { KernelModel } from '../kernel-model.ts';
import type { Machinery } from './chain.ts';
import { having, valuesOf, where, withinSpans } from './env.ts';
import type { Env, State } from './env.ts';
import { joinSpans } from './layout.ts';
import { byLink, questionOf } from './routing.ts';

export class Admission {
  private readonly machinery: Machinery;
  private readonly model: KernelModel;

  constructor(machinery: Machinery, model: KernelModel) {
    this.machinery = machinery;
    this.model = model;
  }

  /** Sources that the kernel believes: none of its own from outside, none that is no host's, and with rp_filter none whose way back leads elsewhere (fib_frontend.c). */
  believable(state: State): number {
    const { universe, routing } = this.machinery;
    const { bdd, fields, family } = universe;
    const { env } = state;
    const spans = (family === 4 ? ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4', '255.255.255.255'] : ['ff00::/8', '::1']).flatMap(
      (text) => universe.addressSpan(text) ?? [],
    );
    const never = withinSpans(bdd, fields, env.source, joinSpans(spans)) ?? 0;
    if (family === 6) return bdd.not(never);
    // 0.0.0.0 asks for an address by DHCP (ip_mkroute_input: only to the limited broadcast address).
    const unspecified = withinSpans(bdd, fields, env.source, [universe.addressSpan('0.0.0.0') ?? { from: 0, to: 0 }]) ?? 0;
    const everybody = withinSpans(bdd, fields, env.destination, [universe.addressSpan('255.255.255.255') ?? { from: 0, to: 0 }]) ?? 0;
    const asking = bdd.and(unspecified, everybody);
    const own = where(bdd, fields, routing.kindOf(env.source), (kind) => kind === 'local' || kind === 'broadcast') ?? 0;
    const fromLoopback = having(bdd, fields, env.iif, 'lo');
    const loopback = withinSpans(bdd, fields, env.destination, [universe.addressSpan('127.0.0.0/8') ?? { from: 0, to: 0 }]) ?? 0;
    const refused = bdd.minus(bdd.union([never, own, loopback]), bdd.or(asking, fromLoopback));
    return bdd.minus(bdd.not(refused), bdd.minus(this.filteredByPath(state), bdd.or(asking, fromLoopback)));
  }

  /** rp_filter: the greater of `all` and the interface's. */
  private filteredByPath({ env, set }: State): number {
    const { universe, routing } = this.machinery;
    const { bdd, fields } = universe;
    const names = [...(valuesOf(env.iif) ?? [])];
    const mode = (name: string): number =>
      Math.max(Number(this.setting('ipv4', 'all', 'rp_filter') ?? 0), Number(this.setting('ipv4', name, 'rp_filter') ?? 0));
    const strict = new Set(names.filter((name) => mode(name) === 1));
    const loose = new Set(names.filter((name) => mode(name) === 2));
    if (strict.size + loose.size === 0) return 0;
    const looked = routing.lookup({ ...questionOf(env), destination: env.source, source: env.destination }, set);
    const back = looked.filter(({ type }) => type === 'unicast');
    const anyway = bdd.union(back.map((one) => one.set));
    const same = bdd.union(
      [...byLink(bdd, back)].flatMap(([link, way]) => (strict.has(link) ? [bdd.and(way, having(bdd, fields, env.iif, link))] : [])),
    );
    const isStrict = where(bdd, fields, env.iif, (name) => strict.has(name)) ?? 0;
    const isLoose = where(bdd, fields, env.iif, (name) => loose.has(name)) ?? 0;
    return bdd.or(bdd.minus(isStrict, same), bdd.minus(isLoose, anyway));
  }

  private setting(protocol: 'ipv4' | 'ipv6', name: string, leaf: string): string | undefined {
    return this.model.sysctls[`net/${protocol}/conf/${name}/${leaf}`];
  }

  /** Packets that the host passes on at all (ip_forward.c, ip6_output.c: ip6_forward()). */
  forwards(env: Env): number {
    const { bdd, fields, family } = this.machinery.universe;
    if (family === 4) {
      const all = this.setting('ipv4', 'all', 'forwarding') ?? this.model.sysctls['net/ipv4/ip_forward'] ?? '0';
      return where(bdd, fields, env.iif, (name) => (this.setting('ipv4', name, 'forwarding') ?? all) === '1') ?? 0;
    }
    // Link-local addresses are of one link alone.
    const linkLocal = this.machinery.universe.addressSpan('fe80::/10');
    const spans = linkLocal === undefined ? [] : [linkLocal];
    const local = bdd.or(withinSpans(bdd, fields, env.source, spans) ?? 0, withinSpans(bdd, fields, env.destination, spans) ?? 0);
    const forced = ['forwarding', 'force_forwarding'].some((leaf) => this.setting('ipv6', 'all', leaf) === '1');
    const passing = forced ? 1 : (where(bdd, fields, env.iif, (name) => this.setting('ipv6', name, 'force_forwarding') === '1') ?? 0);
    return bdd.minus(passing, local);
  }
}
