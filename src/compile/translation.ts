/** Which publication translates a packet, by its destination before NAT: read from the same data that nft-publish.ts prints. */
import { publishedFor, type Flow } from './judge.ts';
import type { HostPolicy, Publication } from './policy-model.ts';

/** Before NAT. `local`: the destination is an address of this host. */
export type Untranslated = Pick<Flow, 'src' | 'dst' | 'dport' | 'path'> & {
  readonly protocol: Publication['protocol'];
  readonly local: boolean;
};

/** The publication that would translate the flow; undefined: none. */
export function translationOf(policy: HostPolicy, flow: Untranslated): Publication | undefined {
  const { dport, protocol, dst, local } = flow;
  if (dport === undefined) return undefined;
  const { ports, ranges } = indexOf(policy);
  const candidates = [...(ports.get(`${protocol} ${dport}`) ?? []), ...ranges];
  return candidates.find(
    (one) =>
      one.protocol === protocol &&
      one.first <= dport &&
      dport <= one.last &&
      one.target.includes(':') === dst.includes(':') &&
      (one.at !== undefined || local) &&
      publishedFor(policy, one, flow),
  );
}

interface Index {
  readonly ports: ReadonlyMap<string, readonly Publication[]>;
  readonly ranges: readonly Publication[];
}

/** A table of connections asks a hundred thousand times. */
const indices = new WeakMap<HostPolicy, Index>();

function indexOf(policy: HostPolicy): Index {
  const known = indices.get(policy);
  if (known) return known;
  const all = [...policy.published.values()].flat();
  const ports = Map.groupBy(
    all.filter((one) => one.first === one.last),
    (one) => `${one.protocol} ${one.first}`,
  );
  const index = { ports, ranges: all.filter((one) => one.first < one.last) };
  indices.set(policy, index);
  return index;
}
