/** Whether the host takes a packet from that source at that interface: martians and rp_filter (route.c, fib_frontend.c; ip6_input.c). */
import type { Flight } from './flight.ts';
import type { Host } from './host.ts';
import { findRoute, isOwn } from './routing.ts';

export interface Refusal {
  /** False: it is not known whether it is refused. */
  readonly certain: boolean;
  readonly where: string;
  readonly why: string;
}

/** `oif`: where it would be forwarded; undefined: it is for the host. */
export function refusesSource(host: Host, flight: Flight, iif: string, oif: string | undefined): Refusal | undefined {
  const { source } = flight;
  if (source === undefined) return { certain: false, where: 'rp_filter', why: 'the source address is not known' };
  const martian = (why: string): Refusal => ({ certain: true, where: 'source check', why });
  // Who has no address yet asks everybody for one (DHCP).
  if (source === '0.0.0.0' && flight.destination === '255.255.255.255') return undefined;
  if (isNoSource(source, iif)) return martian(`${source} is no address that a packet at ${iif} can come from`);
  if (flight.family === 6) return undefined;
  const setting = (name: string, combine: (a: number, b: number) => number): number =>
    combine(host.setting(`net/ipv4/conf/all/${name}`) ?? 0, host.setting(`net/ipv4/conf/${iif}/${name}`) ?? 0);
  const either = (name: string): boolean => setting(name, Math.max) > 0;
  const mode = setting('rp_filter', Math.max);
  const acceptLocal = either('accept_local');
  if (mode === 0 && !hasOwnRules(host)) {
    return acceptLocal || !isOwn(host, source)
      ? undefined
      : martian(`${source} is an address of the host's own, which comes from nowhere else`);
  }
  const strict = (why: string): Refusal => ({ certain: true, where: 'rp_filter', why: `rp_filter of ${iif}: ${why}` });
  const asked = {
    family: 4,
    destination: source,
    source: flight.destination,
    mark: either('src_valid_mark') ? flight.mark : 0,
    iif: oif ?? 'lo',
  } as const;
  const back = findRoute(host, asked);
  if (back.kind === 'unknown') return { certain: false, where: 'rp_filter', why: back.what };
  if (back.kind === 'refused') return mode === 0 ? undefined : strict(`there is no route back to ${source}`);
  if (back.type !== 'unicast' && !(back.type === 'local' && acceptLocal))
    return back.type === 'local'
      ? martian(`${source} is an address of the host's own, which comes from nowhere else`)
      : martian(`${source} is a ${back.type} address`);
  if (back.link === iif) return undefined;
  // Without an address of its own an interface cannot be loose either.
  if (!host.interface(iif)?.addresses.some((address) => !address.includes(':')))
    return mode === 0 ? undefined : strict(`the way back to ${source} is ${back.link}`);
  return mode === 1 ? strict(`the way back to ${source} is ${back.link}`) : undefined;
}

function isNoSource(source: string, iif: string): boolean {
  if (/^(22[4-9]|23\d|255)\./.test(source) || source.startsWith('ff')) return true;
  return (source.startsWith('0.') || source.startsWith('127.') || source === '::1') && iif !== 'lo';
}

/** Rules beside the kernel's three, with which the short test of rp_filter 0 is not enough (fib4_has_custom_rules). */
const hasOwnRules = (host: Host): boolean => host.rules(4).some(({ preference }) => ![0, 32766, 32767].includes(preference));
