/**
 * What iptables' matches and targets are in nft's words, as `nft list` (nftables 1.0 with libxtables) writes them. Only words that are known to say all that the
 * match or target does: nft leaves things out without a word (`addrtype` with a source and a destination loses the latter, `conntrack` with a state and `DNAT` the
 * former), and whatever has another form here than the ones below stays unknown.
 */
import { canonicalIp, parseIp } from '../net/ip.ts';
import type { NftExpr, NftStatement } from './nft.ts';

export interface XtWords {
  /** Where the words stand in the rule's line; what they say is in its groups. */
  readonly words: RegExp;
  /** Undefined: in this form it is not certain what they mean. */
  readonly read: (groups: readonly string[], rule: RuleAround) => NftStatement | undefined;
  /** More of such words in the line than there are such matches: they may be parts of one, which is then not what it seems. */
  readonly alike: RegExp;
}

export interface RuleAround {
  readonly family: string;
  /** The line drops what it matches. */
  readonly drops: boolean;
}

const match = (left: NftExpr, right: NftExpr, op: '==' | '!=' | 'in' = '=='): NftStatement => ({ match: { op, left, right } });

const states = ['invalid', 'new', 'established', 'related', 'untracked'];
const state: XtWords = {
  words: /\bct state (!=? ?)?([a-z,]+)(?= )/g,
  alike: /\bct /g,
  read: ([not = '', list = '']) => {
    const found = list.split(',');
    const [word] = found;
    if (word === undefined || !found.every((one) => states.includes(one))) return undefined;
    // iptables' negation means none of the words; `!= a,b` would compare the bits.
    if (not !== '' && found.length > 1) return undefined;
    return match({ ct: { key: 'state' } }, found.length === 1 ? word : { '|': found }, not === '' ? 'in' : '!=');
  },
};

/** Without a source: where there is one, nft says no word of the destination. */
const addressType: XtWords = {
  words: /\bfib daddr type (!= )?(local|broadcast|multicast|unicast)(?= )/g,
  alike: /\bfib /g,
  read: ([not = '', type = '']) => match({ fib: { result: 'type', flags: ['daddr'] } }, type, not === '' ? '==' : '!='),
};

/** All codes of a type; with a code nft has no words for it. */
const icmp = (protocol: 'icmp' | 'icmpv6'): XtWords => ({
  words: new RegExp(`\\b${protocol} type ([a-z][a-z-]+)(?= )`, 'g'),
  alike: new RegExp(`\\b${protocol} (?!${protocol} )|\\bxt match icmp`, 'g'),
  read: ([type = '']) => match({ payload: { protocol, field: 'type' } }, type),
});

const port = (text: string): NftExpr | undefined => {
  const [from, to, ...more] = text.split('-').map(Number);
  if (from === undefined || Number.isNaN(from) || more.length > 0) return undefined;
  if (to === undefined) return from;
  return Number.isNaN(to) ? undefined : { range: [from, to] };
};

const multiport: XtWords = {
  words: /\b(tcp|udp|udplite|sctp|dccp) ([sd]port) (!= )?(\{ [0-9, -]+ \}|[0-9-]+)(?= )/g,
  // `--ports` becomes a concatenation, which has another form.
  alike: /\b[sd]port /g,
  read: ([protocol = '', field = '', not = '', list = '']) => {
    const ports = list.replaceAll(/[{} ]/g, '').split(',').map(port);
    const known = ports.filter((one) => one !== undefined);
    const [only] = known;
    if (only === undefined || known.length < ports.length) return undefined;
    return match({ payload: { protocol, field } }, known.length === 1 ? only : { set: known }, not === '' ? '==' : '!=');
  },
};

/** A routing header, of whatever kind and negated or not, has to be there. Packets that are asked about have none; those that have one are dropped, so that nothing is opened. */
const routingHeader: XtWords = {
  words: /\brt type \d+(?= )/g,
  alike: /\brt /g,
  read: (_, { family, drops }) => (family === 'ip6' && drops ? match({ payload: { protocol: 'rt', field: 'type' } }, 0) : undefined),
};

/** `10.0.0.1`, `10.0.0.1:80`, `[fd00::1]:80`, `:80`; no ranges, of which the kernel chooses. */
function target(text: string): { readonly addr?: string; readonly port?: number } | undefined {
  const [, bracketed, plain, number] = /^(?:\[([0-9a-f:]+)\]|([0-9a-f.]+|[0-9a-f:]+:[0-9a-f:]+))?(?::(\d+))?$/.exec(text) ?? [];
  const whole = parseIp(text);
  const address = whole ? text : (bracketed ?? plain);
  const addr = address === undefined ? undefined : canonicalIp(address);
  if (address !== undefined && addr === undefined) return undefined;
  const to = whole || number === undefined ? undefined : Number(number);
  if (addr === undefined && to === undefined) return undefined;
  return { ...(addr === undefined ? {} : { addr }), ...(to === undefined ? {} : { port: to }) };
}

/** A target's words are the last of its line. */
const translation = (word: 'snat' | 'dnat'): XtWords => ({
  words: new RegExp(`\\b${word} to (\\S+) $`, 'g'),
  alike: new RegExp(`\\b${word} `, 'g'),
  read: ([text = '']) => {
    const to = target(text);
    if (!to) return undefined;
    if (word === 'dnat') return { dnat: to };
    return to.addr === undefined ? undefined : { snat: { ...to, addr: to.addr } };
  },
});

export const xtMatches: Readonly<Record<string, XtWords>> = {
  conntrack: state,
  state,
  addrtype: addressType,
  icmp: icmp('icmp'),
  icmp6: icmp('icmpv6'),
  multiport,
  rt: routingHeader,
};

export const xtTargets: Readonly<Record<string, XtWords>> = {
  DNAT: translation('dnat'),
  SNAT: translation('snat'),
  MASQUERADE: {
    words: /\bmasquerade (?:to :([0-9-]+) )?$/g,
    alike: /\bmasquerade /g,
    read: ([ports = '']) => {
      const found = port(ports);
      return ports === '' ? { masquerade: null } : found === undefined ? undefined : { masquerade: { port: found } };
    },
  },
  REDIRECT: {
    words: /\bredirect( to :\d+)? $/g,
    alike: /\bredirect /g,
    read: ([to = '']) => ({ redirect: to === '' ? null : { port: Number(to.slice(' to :'.length)) } }),
  },
  MARK: {
    words: /\bmeta mark set (0x[0-9a-f]+) $/g,
    alike: /\bmark set /g,
    read: ([value = '']) => ({ mangle: { key: { meta: { key: 'mark' } }, value: Number(value) } }),
  },
  // Whatever is said to the sender: the packet is gone.
  REJECT: { words: /\breject (?:with [a-z0-9 -]+ )?$/g, alike: /\breject /g, read: () => ({ reject: null }) },
  LOG: { words: /\blog (?:prefix "" )?(?:level \w+ )?(?:flags [a-z, ]+ )?$/g, alike: /\blog /g, read: () => ({ log: {} }) },
  CT: { words: /\bnotrack $/g, alike: /\bnotrack /g, read: () => ({ notrack: null }) },
};
