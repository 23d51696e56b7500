/**
 * Sentences of the contract as lines: `yes FROM TO WHAT` or `no FROM TO WHAT`, each tried with a real packet in both families on a host that the real command set up.
 */
import type { HostBed } from '../bed/host.ts';
import { internet4, internet6 } from '../bed/host.ts';
import type { Probe, ProbeResult } from '../../src/twin/prober.ts';

export type Family = 4 | 6;

interface Shown {
  readonly networks: readonly { readonly name: string; readonly gateways: readonly string[] }[];
  readonly guests: readonly {
    readonly name: string;
    readonly namespace?: string;
    readonly inside?: string;
    readonly nics: readonly { readonly network: string; readonly addresses: readonly string[] }[];
  }[];
}

/** What parties of a line mean, after an apply. */
export interface Parties {
  /** `GUEST`, `GUEST.NETWORK`, `outside`, `host` (its uplink), `gw:NETWORK`, or an address. Undefined: it has none of this family. */
  address(name: string, family: Family): string | undefined;
  /** Path of the namespace it lives in. */
  path(name: string): string;
  isGuest(name: string): boolean;
}

/** Reads `show` of the applied file, and gives `inside` guests their addresses within the guest they are in. */
export async function partiesOf(bed: HostBed): Promise<Parties> {
  // A parse boundary: `show` is part of the contract, and its shape is what the tests stand on.
  const { networks, guests } = (await bed.json('show')) as Shown;
  const guestOf = (name: string): Shown['guests'][number] | undefined => guests.find((one) => one.name === name.split('.')[0]);
  for (const { inside, nics } of guests) {
    const outer = inside === undefined ? undefined : guestOf(inside);
    if (outer?.namespace === undefined) continue;
    const nic = outer.nics.findIndex(({ network }) => network === nics[0]?.network);
    for (const address of nics[0]?.addresses ?? []) {
      const nodad = address.includes(':') ? ['nodad'] : [];
      await bed.guest(outer.name).kernel.run('ip', ['addr', 'add', address, 'dev', `eth${nic}`, ...nodad]);
    }
  }
  const ofFamily = (addresses: readonly string[], family: Family): string | undefined =>
    addresses.find((address) => address.includes(':') === (family === 6));
  return {
    isGuest: (name) => guestOf(name) !== undefined,
    path: (name) => {
      if (name === 'outside') return bed.outer.path;
      const guest = guestOf(name);
      if (!guest) return bed.host.path;
      return bed.guest(guest.inside ?? guest.name).path;
    },
    address: (name, family) => {
      if (name === 'outside') return family === 4 ? internet4 : internet6;
      if (name === 'host') return family === 4 ? '203.0.113.10' : '2001:db8:cb00::10';
      if (name.startsWith('gw:')) return ofFamily(networks.find((one) => one.name === name.slice(3))?.gateways ?? [], family);
      const guest = guestOf(name);
      if (!guest) return name.includes(':') === (family === 6) ? name : undefined;
      const network = name.split('.')[1];
      return ofFamily(
        guest.nics.filter((nic) => network === undefined || nic.network === network).flatMap((nic) => nic.addresses),
        family,
      );
    },
  };
}

interface Line {
  readonly text: string;
  readonly want: boolean;
  readonly family: Family;
  readonly probe: Probe;
}

/**
 * The lines that do not hold, with what was seen. WHAT is `tcp/80`, `udp/53` or `icmp`; with `@guest` or `@outside` behind an address, that is who answers there; `4:` or `6:` before
 * the line restricts it to a family. A line for which the parties have no address of a family is not tried in it.
 */
export async function wrongLines(bed: HostBed, text: string, parties?: Parties): Promise<string[]> {
  const known = parties ?? (await partiesOf(bed));
  const lines = text
    .trim()
    .split(/\n+/)
    .flatMap((line) => parse(line.trim(), known));
  const results = await bed.prober.probeAll(lines.map((line) => line.probe));
  const wrong = lines.filter(({ want }, i) => !agrees(want, results[i]));
  // A second look, one by one: a busy machine is no dropped packet.
  const again = await bed.prober.probeAll(
    wrong.map(({ probe }) => ({ ...probe, timeoutMs: 2500 })),
    8,
  );
  return wrong.flatMap(({ text: line, want, family }, i) =>
    agrees(want, again[i]) ? [] : [`v${family} ${line}: ${JSON.stringify(again[i])}`],
  );
}

const agrees = (want: boolean, result: ProbeResult | undefined): boolean =>
  result !== undefined && (want ? result.answered || result.refused : result.delivered) === want;

function parse(text: string, parties: Parties): Line[] {
  const only = /^([46]):/.exec(text)?.[1];
  const [verdict, from = '', to = '', what = ''] = text.replace(/^[46]:\s*/, '').split(/\s+/);
  if ((verdict !== 'yes' && verdict !== 'no') || what === '') throw new Error(`No line: ${text}`);
  const [protocol, port = '0'] = what.split('/');
  const [target = '', answering = target] = to.split('@');
  return ([4, 6] as const).flatMap((family): Line[] => {
    if (only !== undefined && only !== String(family)) return [];
    const address = parties.address(target, family);
    const source = from === 'outside' || parties.isGuest(from) ? parties.address(from, family) : undefined;
    if (address === undefined || (source === undefined && from !== 'host')) return [];
    const probe: Probe = {
      from: parties.path(from),
      at: parties.path(answering),
      to: address,
      protocol: protocol === 'tcp' || protocol === 'udp' ? protocol : 'icmp',
      port: Number(port),
      ...(source === undefined ? {} : { source }),
    };
    return [{ text, want: verdict === 'yes', family, probe }];
  });
}
