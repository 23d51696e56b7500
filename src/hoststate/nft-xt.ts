/**
 * Rules made with iptables-nft hold matches of iptables, of which nft's JSON tells the name only; its text listing translates them. The one that
 * decides nearly every such ruleset is the connection's state (Docker, ufw and libvirt accept replies by it), so that one is taken from the text.
 */
import { isRecord, text } from './nft-json.ts';
import type { NftRule, NftStatement, NftTable } from './nft.ts';

/** True when the text listing of this table (`nft list table FAMILY NAME`) would tell more than its JSON. */
export function needsListing(table: NftTable): boolean {
  return table.chains.some(({ rules }) => rules.some(({ statements }) => statements.some(isStateMatch)));
}

/** The table with iptables' `conntrack` and `state` matches as nft has them, wherever `listing` says without doubt what they are. */
export function withListing(table: NftTable, listing: string): NftTable {
  const lines = ruleLines(listing);
  return {
    ...table,
    chains: table.chains.map((chain) => {
      const texts = lines.get(chain.name) ?? [];
      if (texts.length !== chain.rules.length) return chain;
      return { ...chain, rules: chain.rules.map((rule, i) => withState(rule, texts[i] ?? '')) };
    }),
  };
}

function isStateMatch(statement: NftStatement): boolean {
  if (!('unknown' in statement) || !isRecord(statement.unknown)) return false;
  const xt = statement.unknown['xt'];
  return isRecord(xt) && xt['type'] === 'match' && (text(xt['name']) === 'conntrack' || text(xt['name']) === 'state');
}

function withState(rule: NftRule, line: string): NftRule {
  if (rule.statements.filter(isStateMatch).length !== 1) return rule;
  const found = [...line.matchAll(/\bct (\S+) (!= )?([a-z,]+)/g)];
  const [state] = found;
  const words = state?.[3]?.split(',') ?? [];
  const known = words.every((word) => ['invalid', 'new', 'established', 'related', 'untracked'].includes(word));
  if (found.length !== 1 || state?.[1] !== 'state' || !known) return rule;
  // iptables' negation means none of the words; nft translates it to `!= a,b`, which compares the bits.
  const negated = state[2] !== undefined;
  if (negated && words.length !== 1) return rule;
  const [word] = words;
  const right = words.length === 1 && word !== undefined ? word : { '|': words };
  const match: NftStatement = { match: { op: negated ? '!=' : 'in', left: { ct: { key: 'state' } }, right } };
  return { ...rule, statements: rule.statements.map((statement) => (isStateMatch(statement) ? match : statement)) };
}

/** Rules of each chain as the listing has them, one a line. */
function ruleLines(listing: string): Map<string, string[]> {
  const chains = new Map<string, string[]>();
  let rules: string[] | undefined;
  for (const raw of listing.split('\n')) {
    const line = raw.trim();
    const chain = /^chain (\S+) \{$/.exec(line)?.[1];
    if (chain !== undefined) {
      rules = [];
      chains.set(chain, rules);
    } else if (line === '}') rules = undefined;
    else if (rules && line !== '' && !/^(type \w+ hook|policy|comment) /.test(line)) rules.push(raw);
  }
  return chains;
}
