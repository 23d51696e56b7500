/**
 * What other programs' rules would do to the flows the file allows: a drop in a foreign chain counts, for an accept of Weft's ends only its own chain.
 * Warned of, naming table, chain and rule; never changed.
 */
import { carrierOf } from '../compile/links.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Fabric, Party } from '../fabric/model.ts';
import type { HostFacts } from '../hoststate/model.ts';
import type { NftTable } from '../hoststate/nft.ts';
import { legacyTables } from '../kernel/observe.ts';
import { formatIp, parseIp, parsePrefix, type Family } from '../net/ip.ts';
import { foreignForwardDrops, foreignTranslations, isIncomingNat, type TestPacket } from '../prove/foreign.ts';
import type { AppliedRecord } from './store.ts';
import type { ApplyContext } from './context.ts';

export async function foreignWarnings(
  context: ApplyContext,
  foreign: readonly NftTable[],
  record: AppliedRecord,
): Promise<readonly Diagnostic[]> {
  const legacy = await legacyTables(context.kernel);
  const { fabric, facts, state } = record;
  const warnings = [...dropWarnings(foreign, fabric, state.host, facts), ...translationWarnings(foreign, fabric, state.host, facts)];
  if (legacy.length === 0) return warnings;
  const message = `legacy iptables tables are in use here (${legacy.join(', ')}), which Weft cannot read: should guests not get through, look at \`iptables-legacy -S\`, and better move those rules to nftables`;
  return [...warnings, { code: 'foreign-legacy', severity: 'warning', message }];
}

/** One warning for each foreign rule (or policy) that certainly drops an allowed flow, with an example and how many more there are. */
export function dropWarnings(foreign: readonly NftTable[], fabric: Fabric, host: string, facts: HostFacts): Diagnostic[] {
  if (!filtersForwarded(foreign)) return [];
  const flows = sampleFlows(fabric, host, facts);
  const texts = new Map(flows.map(({ packet, text }) => [packet, text]));
  const drops = foreignForwardDrops(foreign, [...texts.keys()]);
  const byRule = Map.groupBy(drops, ({ family, table, chain, rule }) => JSON.stringify([family, table, chain, rule]));
  const links = linksOf(fabric, host);
  return [...byRule.values()].flatMap((group): Diagnostic[] => {
    const [first] = group;
    if (first === undefined) return [];
    const { family, table, chain, rule } = first;
    const hit = [...new Set(group.map((drop) => texts.get(drop.flow)))];
    const what = rule === 'policy' ? 'its policy drop' : `its rule \`${rule}\``;
    const more = hit.length > 1 ? ` and ${hit.length - 1} more allowed flow${hit.length > 2 ? 's' : ''}` : '';
    return [
      {
        code: 'foreign-drop',
        severity: 'warning',
        message: `table ${family} ${table}, chain ${chain}: ${what} drops ${hit[0]}${more}, which the file allows; Weft does not touch it: have the program that owns that table accept what comes from or goes to ${links.join(', ')}`,
      },
    ];
  });
}

/** One warning for each foreign rule that translates a port which the file publishes. */
export function translationWarnings(foreign: readonly NftTable[], fabric: Fabric, host: string, facts: HostFacts): Diagnostic[] {
  const texts = new Map(publishedPackets(fabric, host, facts).map(({ packet, text }) => [packet, text]));
  if (texts.size === 0) return [];
  const found = foreignTranslations(foreign, [...texts.keys()]);
  const byRule = Map.groupBy(found, ({ family, table, chain, rule }) => JSON.stringify([family, table, chain, rule]));
  return [...byRule.values()].flatMap(([first]): Diagnostic[] => {
    if (first === undefined) return [];
    const { family, table, chain, rule, flow } = first;
    return [
      {
        code: 'foreign-translation',
        severity: 'warning',
        message: `table ${family} ${table}, chain ${chain}: its rule \`${rule}\` translates ${flow.protocol}/${flow.dport} as well, which the file publishes (${texts.get(flow)}), and one of the two gets no connections; have the program that owns that table let go of the port, or publish another one`,
      },
    ];
  });
}

/** First packets from outside to what is published, at its first and last port. */
function publishedPackets(fabric: Fabric, host: string, facts: HostFacts): SampleFlow[] {
  const here = fabric.networks.filter((network) => network.host === host);
  const { uplink } = facts;
  if (uplink === undefined) return [];
  const iifname = carrierOf(uplink.name, here);
  const published = fabric.publish.filter((one) => one.host === host).slice(0, RULES);
  return published.flatMap(({ address, ports, text }) => {
    const all = address === undefined ? uplink.addresses.map((one) => one.replace(/\/\d+$/, '')) : [address];
    const targets = all.flatMap((one) => parseIp(one) ?? []);
    return ports.flatMap(({ protocol, first, last }) =>
      [...new Set([first, last])].flatMap((dport) =>
        targets.map((target) => ({
          packet: {
            iifname,
            oifname: '',
            saddr: outside[target.family],
            daddr: formatIp(target),
            protocol,
            sport: 40000,
            dport,
            toHost: true,
          },
          text,
        })),
      ),
    );
  });
}

/** Bridges, and of routed networks the ports, which all begin alike. */
function linksOf(fabric: Fabric, host: string): string[] {
  const here = fabric.networks.filter((network) => network.host === host);
  return [...here.flatMap((network) => network.bridge ?? []), ...(here.some((network) => network.kind === 'routed') ? ['w-*'] : [])];
}

/** Whether any of these tables could drop what is forwarded, or translate what comes in: they are read again for each plan then. */
export const touchesGuests = (foreign: readonly NftTable[]): boolean =>
  filtersForwarded(foreign) || foreign.some((table) => table.chains.some(isIncomingNat));

/** Whether any of these tables could drop what is forwarded. */
function filtersForwarded(foreign: readonly NftTable[]): boolean {
  return foreign.some((table) => table.chains.some((chain) => chain.base?.type === 'filter' && forwarded.has(chain.base.hook)));
}

const forwarded: ReadonlySet<string> = new Set(['prerouting', 'forward', 'postrouting']);

interface SampleFlow {
  readonly packet: TestPacket;
  readonly text: string;
}

/** Of each side of a rule at most this many are tried: rules of a foreign chain speak of interfaces and subnets, not of single guests. */
const SAMPLES = 2;
/** And of rules, which in a large fabric are mostly alike. */
const RULES = 1000;
/** Documentation addresses (RFC 5737, RFC 3849) stand for the internet. */
const outside: Readonly<Record<Family, string>> = { 4: '198.51.100.7', 6: '2001:db8:ffff::7' };

interface End {
  readonly address: string;
  readonly family: Family;
  /** Interface the host reaches it by. */
  readonly link: string;
}

/** Concrete packets of flows the file allows, through this host, with the rule's text; the reply of each too. */
function sampleFlows(fabric: Fabric, host: string, facts: HostFacts): SampleFlow[] {
  const networks = new Map(fabric.networks.filter((network) => network.host === host).map((network) => [network.name, network]));
  const guests = new Map(fabric.guests.map((guest) => [guest.name, guest]));
  const uplink = facts.uplink && carrierOf(facts.uplink.name, [...networks.values()]);
  const outer = (address: string, family: Family): End[] => (uplink === undefined ? [] : [{ address, family, link: uplink }]);

  const nicEnds = (name: string, index: number): End[] => {
    const nic = guests.get(name)?.nics[index];
    const network = nic && networks.get(nic.network);
    if (nic === undefined || network === undefined) return [];
    const link = network.bridge ?? nic.port;
    return [
      ...(nic.v4 === undefined ? [] : [{ address: nic.v4, family: 4 as const, link }]),
      ...(nic.v6 === undefined ? [] : [{ address: nic.v6, family: 6 as const, link }]),
    ];
  };
  const ends = (party: Party): End[] => {
    switch (party.kind) {
      case 'guests':
        return party.endpoints.slice(0, SAMPLES).flatMap((endpoint) => nicEnds(endpoint.guest, endpoint.nic));
      case 'internet':
      case 'any':
        return [...outer(outside[4], 4), ...outer(outside[6], 6)];
      case 'prefix': {
        const prefix = parsePrefix(party.prefix);
        return prefix === undefined ? [] : outer(formatIp(prefix), prefix.family);
      }
      case 'host':
      case 'named-host':
      case 'domain':
        return [];
    }
  };

  const flows: SampleFlow[] = [];
  const add = (from: End, to: End, protocol: string, dport: number | undefined, text: string, dnat = false): void => {
    if (from.family !== to.family || from.address === to.address) return;
    const forth: TestPacket = {
      iifname: from.link,
      oifname: to.link,
      saddr: from.address,
      daddr: to.address,
      protocol,
      state: 'new',
      dnat,
    };
    const back: TestPacket = {
      iifname: to.link,
      oifname: from.link,
      saddr: to.address,
      daddr: from.address,
      protocol,
      state: 'established',
      dnat,
    };
    const ports =
      dport === undefined
        ? [{}, {}]
        : [
            { sport: 40000, dport },
            { sport: dport, dport: 40000 },
          ];
    flows.push({ packet: { ...forth, ...ports[0] }, text }, { packet: { ...back, ...ports[1] }, text: `the answers of ${text}` });
  };
  for (const rule of fabric.allow.slice(0, RULES)) {
    const spec = rule.ports === 'any' ? undefined : rule.ports[0];
    const port = spec !== undefined && 'ranges' in spec ? spec.ranges[0]?.from : undefined;
    for (const from of rule.from.flatMap(ends)) {
      for (const to of rule.to.flatMap(ends)) {
        const icmp = from.family === 4 ? 'icmp' : 'ipv6-icmp';
        add(
          from,
          to,
          spec === undefined ? 'tcp' : spec.protocol === 'icmp' ? icmp : spec.protocol,
          spec === undefined ? 443 : port,
          rule.text,
        );
      }
    }
  }
  for (const one of fabric.publish.filter((entry) => entry.host === host).slice(0, RULES)) {
    const [range] = one.ports;
    if (!range) continue;
    for (const from of (one.from ?? [{ kind: 'any', text: 'any' } as const]).flatMap(ends)) {
      for (const to of nicEnds(one.to.guest, one.to.nic)) add(from, to, range.protocol, range.target, `the published ${one.text}`, true);
    }
  }
  const seen = new Set<string>();
  for (const guest of fabric.guests) {
    for (const nic of guest.nics) {
      if (nic.egress !== 'allow' || networks.get(nic.network)?.kind === 'isolated' || seen.has(nic.network)) continue;
      seen.add(nic.network);
      for (const from of nicEnds(guest.name, nic.index)) {
        if (from.family === 6 && facts.uplink?.v6 !== true) continue;
        for (const to of outer(outside[from.family], from.family)) add(from, to, 'tcp', 443, `${nic.network} -> internet`);
      }
    }
  }
  return flows;
}
