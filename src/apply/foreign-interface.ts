/**
 * Other programs' rules that name an interface which is to join a bridge: packets come in and go out by the bridge then, so such a rule matches no more. Where that would change what
 * happens to a packet of the host (the very session of the person who applies, say), it is an error before anything changes; else a warning.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Enslaved, HostFacts } from '../hoststate/model.ts';
import type { NftRule, NftTable } from '../hoststate/nft.ts';
import { foreignJudge, ruleText, type ForeignVerdict, type TestPacket } from '../prove/foreign.ts';

/** `session`: SSH_CONNECTION of sshd(8), `client port server port`. Code `foreign-interface`. */
export function foreignInterfaces(
  foreign: readonly NftTable[],
  joining: readonly Enslaved[],
  facts: HostFacts,
  session: string | undefined,
): Diagnostic[] {
  return joining.flatMap((handover) => {
    const named = rulesNaming(foreign, handover.interface);
    if (named.length === 0) return [];
    const changed = changedVerdict(foreign, handover, facts, session);
    const translating = named.find(({ nat }) => nat);
    const what = changed ?? (translating === undefined ? undefined : 'what is translated by it would be no more');
    return named.slice(0, what === undefined ? 1 : 3).map(({ place, text }): Diagnostic => {
      const { interface: name, bridge } = handover;
      const better = text.replaceAll(new RegExp(`"${escaped(name)}"`, 'g'), `{ "${name}", "${bridge}" }`);
      const rule = `${place}: the rule \`${text}\` names ${name}, and packets will come in and go out by ${bridge}`;
      return what === undefined
        ? {
            code: 'foreign-interface',
            severity: 'warning',
            message: `${rule}; as far as Weft can tell nothing changes by it, but look whether it has to be \`${better}\``,
          }
        : { code: 'foreign-interface', severity: 'error', message: `${rule}: ${what}. Write \`${better}\` there, load it and apply again` };
    });
  });
}

const escaped = (text: string): string => text.replaceAll(/[.+*?^$()[\]{}|\\]/g, '\\$&');

interface NamedRule {
  readonly place: string;
  readonly text: string;
  readonly nat: boolean;
}

function rulesNaming(foreign: readonly NftTable[], name: string): NamedRule[] {
  const quoted = JSON.stringify(name);
  return foreign
    .filter(({ family }) => family === 'ip' || family === 'ip6' || family === 'inet')
    .flatMap((table) => {
      const nat = table.chains.some((chain) => chain.base?.type === 'nat');
      const sets = [...table.sets, ...table.maps]
        .filter((set) => JSON.stringify(set.elements).includes(quoted))
        .map((set) => `"@${set.name}"`);
      const names = (rule: NftRule): boolean => {
        const json = JSON.stringify(rule.statements);
        return json.includes(quoted) || sets.some((set) => json.includes(set));
      };
      return table.chains.flatMap((chain) =>
        chain.rules.filter(names).map((rule) => ({
          place: `table ${table.family} ${table.name}, chain ${chain.name}`,
          text: ruleText(rule),
          nat: chain.base === undefined ? nat : chain.base.type === 'nat',
        })),
      );
    });
}

/** What would change, in words; undefined: nothing that could be found. */
function changedVerdict(
  foreign: readonly NftTable[],
  handover: Enslaved,
  facts: HostFacts,
  session: string | undefined,
): string | undefined {
  const paths = [
    { judge: foreignJudge(foreign, ['prerouting', 'input']), packets: towards(foreign, handover.interface, facts, session) },
    {
      judge: foreignJudge(foreign, ['output', 'postrouting']),
      packets: towards(foreign, handover.interface, facts, session).map(reversed),
    },
    { judge: foreignJudge(foreign), packets: through(handover.interface) },
  ];
  for (const { judge, packets } of paths) {
    for (const { packet, text } of packets) {
      const [now, then] = [judge(packet), judge(renamed(packet, handover))];
      if (now.kind !== then.kind) return `${text} ${words[now.kind]} now and ${then.kind === 'passes' ? 'would pass' : 'would not'} then`;
    }
  }
  return undefined;
}

const words: Readonly<Record<ForeignVerdict['kind'], string>> = { passes: 'passes', dropped: 'is dropped', unknown: 'may pass' };

const renamed = (packet: TestPacket, { interface: name, bridge }: Enslaved): TestPacket => ({
  ...packet,
  iifname: packet.iifname === name ? bridge : packet.iifname,
  oifname: packet.oifname === name ? bridge : packet.oifname,
});

interface Sample {
  readonly packet: TestPacket;
  readonly text: string;
}

/** Documentation addresses (RFC 5737, RFC 3849) stand for the internet. */
const outside = (address: string): string => (address.includes(':') ? '2001:db8:ffff::7' : '198.51.100.7');

/** To the host: the session, and new and old connections to each port that some rule speaks of. */
function towards(foreign: readonly NftTable[], name: string, facts: HostFacts, session: string | undefined): Sample[] {
  const own = [facts.uplink, ...facts.interfaces].filter((link) => link?.name === name).flatMap((link) => link?.addresses ?? []);
  const addresses = [...new Set(own.map((text) => text.replace(/\/\d+$/, '')))];
  const samples: Sample[] = [];
  const add = (saddr: string, daddr: string, protocol: string, dport: number | undefined, text: string): void => {
    for (const state of ['established', 'new'] as const) {
      const ports = dport === undefined ? {} : { sport: 40000, dport };
      samples.push({ packet: { iifname: name, oifname: '', saddr, daddr, protocol, state, ...ports }, text });
    }
  };
  const [client, , server, port] = (session ?? '').split(' ');
  if (client !== undefined && server !== undefined && port !== undefined && addresses.includes(server))
    add(client, server, 'tcp', Number(port), `your ssh session from ${client}`);
  for (const address of addresses) {
    for (const dport of portsOf(foreign))
      for (const protocol of ['tcp', 'udp']) add(outside(address), address, protocol, dport, `${protocol}/${dport} to ${address}`);
    add(outside(address), address, address.includes(':') ? 'ipv6-icmp' : 'icmp', undefined, `a ping of ${address}`);
  }
  return samples;
}

const reversed = ({ packet, text }: Sample): Sample => {
  const { iifname, oifname, saddr, daddr, sport, dport, ...rest } = packet;
  const ports = dport === undefined || sport === undefined ? {} : { sport: dport, dport: sport };
  return { packet: { ...rest, iifname: oifname, oifname: iifname, saddr: daddr, daddr: saddr, ...ports }, text: `the answer of ${text}` };
};

/** What other programs' guests (containers, VMs) send out and get back by it. */
function through(name: string): Sample[] {
  const [inner, outer] = ['172.17.0.2', '198.51.100.7'];
  const common = { protocol: 'tcp' };
  return [
    {
      packet: { ...common, iifname: '', oifname: name, saddr: inner, daddr: outer, sport: 40000, dport: 443, state: 'new' },
      text: 'what is forwarded out',
    },
    {
      packet: { ...common, iifname: name, oifname: '', saddr: outer, daddr: inner, sport: 443, dport: 40000, state: 'established' },
      text: 'what is forwarded in',
    },
    {
      packet: { ...common, iifname: name, oifname: '', saddr: outer, daddr: inner, sport: 40000, dport: 443, state: 'new' },
      text: 'a connection forwarded in',
    },
  ];
}

/** Every number in the rules that may be a port, and those of ssh and the web. */
function portsOf(foreign: readonly NftTable[]): number[] {
  const ports = new Set([22, 80, 443]);
  for (const [, text] of JSON.stringify(foreign.map(({ chains, sets }) => [chains, sets])).matchAll(/[[,:](\d{1,5})(?=[\],}])/g)) {
    const port = Number(text);
    if (port > 0 && port < 65536 && ports.size < 200) ports.add(port);
  }
  return [...ports];
}
