/**
 * The commented file that `weft init` writes, from what is found on the host: it can be checked as it stands, and its subnets collide with nothing there.
 */
import { createHash } from 'node:crypto';
import { formatPrefix, parsePrefix, prefixesOverlap } from '../net/ip.ts';
import type { Prefix } from '../net/ip.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { isName } from '../config/flow-parser.ts';
import { mendedName } from '../config/leaves.ts';

export interface StartingNames {
  /** Name of the fabric, usually of the directory; mended when it cannot be one. */
  readonly fabric: string;
  /** Name servers the host uses, for the comment; may be left out. */
  readonly resolvers?: readonly string[];
}

/** The text of a starting weft.yaml. */
export function startingFile(facts: HostFacts, names: StartingNames): string {
  const fabric = isName(names.fabric) ? names.fabric : (mendedName(names.fabric) ?? 'fabric');
  const taken = [...facts.routes.map((route) => route.prefix), ...(facts.uplink?.addresses ?? [])].flatMap((text) => {
    const prefix = parsePrefix(text);
    return prefix && prefix.length > 0 ? [prefix] : [];
  });
  const free = freeSubnet(taken);
  const v4 = free ?? '10.87.0.0/24';
  const v6 = facts.uplink?.v6 === true ? uniqueLocal(fabric, taken) : undefined;
  const base = v4.replace(/0\/24$/, '');
  const subnet = v6 === undefined ? v4 : `[${v4}, ${v6}]`;
  const uplink = facts.uplink
    ? `# The uplink is found by the default route: here ${facts.uplink.name}${facts.uplink.addresses.length > 0 ? ` (${facts.uplink.addresses.join(', ')})` : ''}.`
    : '# No default route was found here: once there is one, its interface is the uplink.';
  const resolver = names.resolvers && names.resolvers.length > 0 ? `, here ${names.resolvers.join(', ')}` : '';
  return `# The networks of the guests on this host.
#   weft check      is this file right?
#   weft rehearse   tries it in throw-away namespaces
#   weft plan       what would change
#   weft apply      changes it, and goes back unless you confirm

name: ${fabric} # MAC addresses derive from it

${uplink}
# hosts:
#   host:
#     uplink: ${facts.uplink?.name ?? 'eth0'}

networks:
  internal: # a private subnet behind this host; ${free === undefined ? 'every private range is in use here: choose one that can be spared' : 'it collides with nothing found here'}
    kind: nat # isolated: guests and host only
    subnet: ${subnet}
    range: ${base}10-${base}200 # guests without an \`address\` get theirs from here
    # egress: deny     # no connections to the internet unless allowed below
    # dns: 9.9.9.9     # default: the resolver of the host${resolver}

guests:
  # web: internal                                              # a VM: its TAP is called w-web
  # db: { network: internal, address: ${base}20, kind: container }

allow: # everything else between guests, and from outside, is dropped
  # - web -> db tcp/5432

publish: # ports of this host that lead to a guest; needs no rule of its own
  # - host tcp/443 -> web
  # - host tcp/2222 -> web tcp/22 from 198.51.100.0/24

expect: # proved on every check, plan and apply
  # - cannot: internet -> db
`;
}

/** The first free /24 of the private ranges (RFC 1918), beginning where few others do. */
function freeSubnet(taken: readonly Prefix[]): string | undefined {
  const candidates = [
    ...Array.from({ length: 256 }, (_, i) => `10.${(87 + i) % 256}.0.0/24`),
    ...Array.from({ length: 16 }, (_, i) => `172.${16 + ((i + 12) % 16)}.87.0/24`),
    ...Array.from({ length: 256 }, (_, i) => `192.168.${(87 + i) % 256}.0/24`),
  ];
  return candidates.find((candidate) => isFree(candidate, taken));
}

/** A /64 of the unique local addresses (RFC 4193) whose 40 bits come from the name, the next one when that is taken. */
function uniqueLocal(fabric: string, taken: readonly Prefix[]): string | undefined {
  for (let round = 0; round < 8; round++) {
    const hash = createHash('sha256').update(`${fabric}/${round}`).digest('hex');
    const prefix = parsePrefix(`fd${hash.slice(0, 2)}:${hash.slice(2, 6)}:${hash.slice(6, 10)}:1::/64`);
    const text = prefix && formatPrefix(prefix);
    if (text !== undefined && isFree(text, taken)) return text;
  }
  return undefined;
}

function isFree(candidate: string, taken: readonly Prefix[]): boolean {
  const prefix = parsePrefix(candidate);
  return prefix !== undefined && !taken.some((other) => prefixesOverlap(prefix, other));
}
