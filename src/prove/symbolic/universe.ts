/** Everything that one analysis shares: the variables, the intervals of every field, the names of origins and MACs, and the questions of rules that are not modelled. */
import type { Family } from '../../net/ip.ts';
import type { KernelModel, Origin } from '../kernel-model.ts';
import type { DecidedBy } from '../packet-model.ts';
import { Bdd } from './bdd.ts';
import { collect } from './collect.ts';
import type { Constants } from './flow-space.ts';
import { Intervals } from './intervals.ts';
import type { Span } from './intervals.ts';
import { layoutOf } from './layout.ts';
import type { Layout } from './layout.ts';
import { boundsOf } from './numbers.ts';

/** Stands for every MAC that nothing names. */
export const OTHER_MAC = '(any other MAC)';

export class Universe {
  readonly family: Family;
  readonly bdd = new Bdd();
  readonly fields: Layout;
  readonly addresses: Intervals;
  readonly ports: Intervals;
  readonly protocols: Intervals;
  /** By number: `''` is the host itself, else the interface at which a packet enters. */
  readonly origins: readonly string[];
  readonly macs: readonly string[];
  readonly standIns: ReadonlyMap<string, readonly [string, string]>;
  readonly originNumber: ReadonlyMap<string, number>;
  readonly macNumber: ReadonlyMap<string, number>;
  /** Packets whose every field has a value there is. */
  readonly valid: number;
  /** First level of the variables that stand for what is not known. */
  readonly behind: number;
  private readonly questions = new Map<string, number>();
  private readonly asked: DecidedBy[] = [];
  private readonly spans = new Map<string, Span | undefined>();

  /** Of several models at once: what is found of one can be held against what is found of another. `standIns`: of machines that were left out, by all their names. */
  constructor(models: readonly KernelModel[], family: Family, constants: Constants, standIns: Universe['standIns'] = new Map()) {
    this.family = family;
    this.standIns = standIns;
    const { addresses, ports, protocols, macs } = collect(models, family, constants);
    this.addresses = new Intervals(addresses, family === 4 ? 2n ** 32n - 1n : 2n ** 128n - 1n);
    this.ports = new Intervals(ports, 65535n);
    this.protocols = new Intervals(protocols, 255n);
    this.origins = ['', ...new Set(models.flatMap(entrances))];
    this.macs = [OTHER_MAC, ...macs];
    this.originNumber = new Map(this.origins.map((name, i) => [name, i]));
    this.macNumber = new Map(this.macs.map((mac, i) => [mac, i]));
    const { fields, behind } = layoutOf(this.bdd, {
      origin: this.origins.length,
      mac: this.macs.length,
      source: this.addresses.count,
      protocol: this.protocols.count,
      destination: this.addresses.count,
      dport: this.ports.count,
      sport: this.ports.count,
    });
    this.fields = fields;
    this.behind = behind;
    this.valid = Object.values(fields).reduce((set, field) => this.bdd.and(set, field.any), 1);
  }

  /** A variable that is 1 where the thing that is not known matches. The same place asks the same question. */
  unknown(key: string, by: DecidedBy): number {
    const known = this.questions.get(key);
    if (known !== undefined) return this.bdd.variable(this.behind + known);
    this.questions.set(key, this.asked.length);
    this.asked.push(by);
    return this.bdd.variable(this.behind + this.asked.length - 1);
  }

  get unknowns(): readonly DecidedBy[] {
    return this.asked;
  }

  /** The intervals of an address, prefix or range's text; undefined for the other family. */
  addressSpan(text: string): Span | undefined {
    if (this.spans.has(text)) return this.spans.get(text);
    const bounds = boundsOf(this.family, text);
    const span = bounds && this.addresses.span(...bounds);
    this.spans.set(text, span);
    return span;
  }
}

/** Where frames come in: not at bridges, whose ports they come in at. */
function entrances(model: KernelModel): string[] {
  return model.interfaces.filter(({ kind, up }) => up && kind !== 'loopback' && kind !== 'bridge').map(({ name }) => name);
}

export const originName = (origin: Origin): string => (origin.kind === 'host' ? '' : origin.name);
