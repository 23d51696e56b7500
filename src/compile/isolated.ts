/** What is said of isolated networks and comes to nothing on this host: warnings, for nothing is opened by it. */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { prefixesOf } from '../fabric/addressing.ts';
import type { Fabric, Party } from '../fabric/model.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { familyBits, parseIp, parsePrefix, prefixOf, prefixesOverlap, type Prefix } from '../net/ip.ts';

/** Code `isolated-outside`: a rule between isolated guests and addresses that nobody here has, or a name server out there for one. */
export function isolatedProblems(fabric: Fabric, hostName: string, facts: HostFacts): Diagnostic[] {
  const isolated = new Set(fabric.networks.filter(({ kind, host }) => kind === 'isolated' && host === hostName).map(({ name }) => name));
  if (isolated.size === 0) return [];
  const isOutside = outsideOf(fabric, facts);
  const networkOf = new Map(fabric.guests.flatMap(({ name, nics }) => nics.map((nic) => [`${name} ${nic.index}`, nic.network])));
  const inside = (party: Party): boolean =>
    party.kind === 'guests' &&
    party.endpoints.length > 0 &&
    party.endpoints.every(({ guest, nic }) => isolated.has(networkOf.get(`${guest} ${nic}`) ?? ''));
  const outer = (party: Party): boolean => party.kind === 'prefix' && isOutside(parsePrefix(party.prefix));
  const rules = fabric.allow.filter(({ from, to }) => (from.every(inside) && to.every(outer)) || (from.every(outer) && to.every(inside)));
  const servers = fabric.guests.flatMap((guest) =>
    guest.nics
      .filter((nic) => isolated.has(nic.network))
      .flatMap((nic) => nic.dns.filter((server) => isOutside(whole(server))).map((server) => ({ guest, nic, server }))),
  );
  return [
    ...rules.map(({ text, span }) =>
      warning(
        `\`${text}\` opens nothing: an isolated network reaches its own host and the other networks here, and nothing outside; make the network \`kind: nat\`, or take the rule out.`,
        span,
      ),
    ),
    ...servers.map(({ guest, nic, server }) =>
      warning(
        `\`${guest.name}\` does not reach the name server ${server}: its network \`${nic.network}\` is isolated; leave \`dns\` out, then the host answers for the guests' own names.`,
        guest.span,
      ),
    ),
  ];
}

/** Neither in a network of the fabric nor an address of this host. */
function outsideOf(fabric: Fabric, facts: HostFacts): (prefix: Prefix | undefined) => boolean {
  const own = [
    ...fabric.networks.flatMap(prefixesOf).map((text) => parsePrefix(text)),
    ...fabric.hosts.flatMap(({ addresses }) => addresses.map(whole)),
    ...(facts.uplink?.addresses ?? []).map((address) => whole(address.replace(/\/\d+$/, ''))),
    ...facts.routes.map(({ prefix }) => parsePrefix(prefix)).filter((prefix) => prefix?.length === (prefix && familyBits(prefix.family))),
  ].filter((prefix) => prefix !== undefined);
  return (prefix) => prefix !== undefined && !own.some((other) => prefixesOverlap(prefix, other));
}

function whole(address: string): Prefix | undefined {
  const ip = parseIp(address);
  return ip && prefixOf(ip, familyBits(ip.family));
}

const warning = (message: string, span: Diagnostic['span']): Diagnostic => ({
  code: 'isolated-outside',
  severity: 'warning',
  message,
  ...(span === undefined ? {} : { span }),
});
