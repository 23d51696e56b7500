/** NAT statements: where the packet goes, or comes from, after them. They stand in chains of type nat, which only first packets of connections meet. */
import type { NftExpr } from '../../hoststate/nft.ts';
import { addressRange } from '../../hoststate/nft-normal-expression.ts';
import { addOffset, compareIp, formatIp, parseIp } from '../../net/ip.ts';
import { translate, withPorts, type Flight } from './flight.ts';
import { lookUpData } from './match.ts';
import type { Effect } from './statement.ts';
import { valueOf, type View } from './value.ts';

interface Nat {
  readonly family?: 'ip' | 'ip6';
  readonly addr?: NftExpr;
  readonly port?: NftExpr;
}

type Part = 'source' | 'destination';

export function nat(part: Part, { family, addr, port }: Nat, view: View): readonly Effect[] {
  const { flight } = view;
  // A family that is not the packet's: nft_nat_inet_eval lets it go on.
  if (family !== undefined && (family === 'ip6') !== (flight.family === 6)) return [{ kind: 'next' }];
  const targets = addr === undefined ? [{ address: undefined, port: undefined }] : targetsOf(addr, view);
  if (targets === undefined) return [{ kind: 'lost' }];
  if (targets.length === 0) return [{ kind: 'break' }];
  return targets.flatMap((target): readonly Effect[] => {
    if (target === 'none') return [{ kind: 'break' }];
    const chosen = target.port ?? port;
    return [translated(part, target.address ?? (part === 'source' ? flight.source : flight.destination), chosen, view)];
  });
}

/** Source becomes an address of the interface it leaves by, or, where that has none, of another; where there is none at all, the packet is dropped. */
export const masquerade = (port: NftExpr | undefined, view: View): readonly Effect[] => asHost('source', 'masquerade', port, view);

/** Destination becomes the host: the incoming interface's first address, the loopback address for the host's own packets. */
export const redirect = (port: NftExpr | undefined, view: View): readonly Effect[] => asHost('destination', 'redirect', port, view);

function asHost(part: Part, use: 'masquerade' | 'redirect', port: NftExpr | undefined, view: View): readonly Effect[] {
  const addresses = view.surroundings.addressesOf(use, view);
  if (!addresses) return [{ kind: 'lost' }];
  return addresses.length === 0 ? [{ kind: 'dropped' }] : addresses.map((address) => translated(part, address, port, view));
}

function translated(part: Part, address: string | undefined, port: NftExpr | undefined, view: View): Effect {
  const { flight } = view;
  const next = translate(flight, part, address, withPorts.has(flight.protocol) ? newPort(part, port, view) : undefined);
  return { kind: 'translated', flight: next, text: describe(part, next) };
}

const describe = (part: Part, flight: Flight): string => {
  const [address, port] = part === 'source' ? [flight.source, flight.sport] : [flight.destination, flight.dport];
  const host = address === undefined ? 'one of several' : address.includes(':') ? `[${address}]` : address;
  return `${part} ${port === undefined ? (address ?? 'one of several') : `${host}:${port}`}`;
};

/** Without one given, and where the old one is among several given, the port stays (nf_nat_core.c). Undefined: one of several. */
function newPort(part: Part, expr: NftExpr | undefined, view: View): number | undefined {
  const old = part === 'source' ? view.flight.sport : view.flight.dport;
  if (expr === undefined || typeof expr === 'number') return expr ?? old;
  if (typeof expr !== 'object') return undefined;
  if ('range' in expr) {
    const [from, to] = expr.range;
    return typeof from === 'number' && typeof to === 'number' && old !== undefined && from <= old && old <= to ? old : undefined;
  }
  if ('map' in expr) {
    const found = lookUpData(expr.map, view);
    const [only] = found?.values ?? [];
    return found && !found.none && found.values.length === 1 && typeof only === 'number' ? only : undefined;
  }
  const value = valueOf(expr, view);
  return value.kind === 'number' ? value.number : undefined;
}

interface Target {
  readonly address: string | undefined;
  readonly port: NftExpr | undefined;
}

/** So many addresses of a pool are followed one by one. */
const POOL = 16;

/** All that an expression may mean; `none` and an empty list: a map has nothing for the packet. Undefined: it is not known. */
function targetsOf(expr: NftExpr, view: View): readonly (Target | 'none')[] | undefined {
  if (typeof expr === 'object' && 'map' in expr) {
    const found = lookUpData(expr.map, view);
    if (!found) return undefined;
    const targets: (Target | 'none')[] = [];
    for (const value of found.values) {
      const [addr, port] = typeof value === 'object' && 'concat' in value ? value.concat : [value];
      const addresses = addr === undefined ? undefined : poolOf(addr, view);
      if (!addresses) return undefined;
      targets.push(...addresses.map((address) => ({ address, port })));
    }
    return found.none ? [...targets, 'none'] : targets;
  }
  return poolOf(expr, view)?.map((address) => ({ address, port: undefined }));
}

function poolOf(expr: NftExpr, view: View): readonly string[] | undefined {
  const range = addressRange(expr);
  if (!range) {
    const value = valueOf(expr, view);
    return value.kind === 'text' && parseIp(value.text) ? [value.text] : undefined;
  }
  const addresses: string[] = [];
  for (let ip: typeof range.from | undefined = range.from; ip && compareIp(ip, range.to) <= 0; ip = addOffset(ip, 1)) {
    if (addresses.length === POOL) return undefined;
    addresses.push(formatIp(ip));
  }
  return addresses;
}
