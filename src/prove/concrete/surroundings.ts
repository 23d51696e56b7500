/** What rules may ask of the host they stand on: `fib` expressions (nft_fib_ipv4.c, nft_fib_ipv6.c), the address that stands for the host. */
import type { Host } from './host.ts';
import { addressTowards, findRoute, localType } from './routing.ts';
import { UNKNOWN, textValue, type Surroundings, type Value, type View } from './value.ts';

export function surroundingsOf(host: Host, nextHop: string | undefined): Surroundings {
  return {
    fib: (result, flags, view) => fib(host, result, flags, view),
    bridgeOf: (name) => host.interface(name)?.portOf?.bridge ?? '',
    isEthernet: (name) => {
      const kind = host.interface(name)?.kind;
      return kind === undefined || kind === 'other' ? (name === 'lo' ? false : isEthernet(host, name)) : kind === 'bridge';
    },
    addressesOf: (use, view) => (use === 'masquerade' ? masqueradeAddresses(host, nextHop, view) : redirectAddresses(host, view)),
  };
}

/** Tunnels have no MAC. */
const isEthernet = (host: Host, name: string): boolean | undefined => (host.interface(name)?.mac === undefined ? undefined : true);

/** An interface without an address borrows one of another's, which one depends on the order they were made in (inet_select_addr, ipv6_dev_get_saddr; tried on Linux 6.18). */
function masqueradeAddresses(host: Host, nextHop: string | undefined, { oif, flight }: View): readonly string[] | undefined {
  if (oif === undefined) return undefined;
  const towards = flight.family === 4 ? (nextHop ?? flight.destination) : flight.destination;
  const own = addressTowards((host.interface(oif)?.addresses ?? []).filter(isWide), flight.family, towards);
  if (own !== undefined) return [own];
  const others = host.model.interfaces.flatMap(({ addresses, up }) => (up ? addresses.filter(isWide) : [])).map(withoutLength);
  return others.filter((address) => address.includes(':') === (flight.family === 6) && !/^fe[89ab]/.test(address));
}

/** No loopback address, which stands for nobody: what is masqueraded on `lo` borrows one too. */
const isWide = (address: string): boolean => !/^(127\.|::1\/)/.test(address);

function redirectAddresses(host: Host, { hook, iif, flight }: View): readonly string[] | undefined {
  if (hook === 'output') return [flight.family === 4 ? '127.0.0.1' : '::1'];
  if (iif === undefined) return undefined;
  const addresses = host.interface(iif)?.addresses ?? [];
  const own = addresses.map(withoutLength).filter((text) => text.includes(':') === (flight.family === 6));
  // IPv6 takes one of the destination's scope.
  const same = own.filter((address) => address.startsWith('fe80:') === flight.destination.startsWith('fe80:'));
  return (same.length > 0 ? same : own).slice(0, 1);
}

const withoutLength = (address: string): string => address.split('/')[0] ?? address;

function fib(host: Host, result: string, flags: readonly string[], view: View): Value {
  const { flight } = view;
  const address = flags.includes('saddr') ? flight.source : flags.includes('daddr') ? flight.destination : undefined;
  const link = flags.includes('iif') ? view.iif : flags.includes('oif') ? view.oif : '';
  if (address === undefined || link === undefined) return UNKNOWN;
  if (view.table.family === 'netdev' || view.table.family === 'bridge') return UNKNOWN;
  if (result === 'type') return typeOf(host, address, link === '' ? undefined : link, view);
  if (result !== 'oif' && result !== 'oifname') return UNKNOWN;
  const mark = flags.includes('mark') ? flight.mark : 0;
  if (view.iif === 'lo' && (view.hook === 'prerouting' || view.hook === 'input')) return { kind: 'way', name: 'lo' };
  const route = findRoute(host, {
    family: flight.family,
    destination: address,
    source: flags.includes('saddr') ? flight.destination : flight.source,
    mark,
    iif: 'lo',
  });
  if (route.kind === 'unknown') return UNKNOWN;
  if (route.kind === 'refused' || route.type !== 'unicast') return { kind: 'way', name: '' };
  return { kind: 'way', name: link === '' || link === route.link ? route.link : '' };
}

function typeOf(host: Host, address: string, link: string | undefined, view: View): Value {
  const type = localType(host, address, link);
  if (view.flight.family === 4 || type !== 'unicast') return textValue(type);
  const route = findRoute(host, { family: 6, destination: address, source: undefined, mark: 0, iif: 'lo' });
  if (route.kind === 'unknown') return UNKNOWN;
  // Without an interface asked for, an address of the host's own is local wherever it stands; with one, only there.
  return route.kind === 'refused' ? textValue(route.how === 'none' ? 'unreachable' : route.how) : textValue('unicast');
}
