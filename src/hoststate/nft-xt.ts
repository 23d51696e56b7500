/**
 * Rules made with iptables-nft hold matches and targets of iptables, of which nft's JSON tells the name only; its text listing translates them (Docker, ufw and
 * libvirt are full of them). Those that {@link xtMatches} and {@link xtTargets} know are taken from the text.
 */
import { isRecord, text } from './nft-json.ts';
import type { NftRule, NftStatement, NftTable } from './nft.ts';
import { xtMatches, xtTargets, type XtWords } from './nft-xt-words.ts';

/** True when the text listing of this table (`nft list table FAMILY NAME`) would tell more than its JSON. */
export function needsListing(table: NftTable): boolean {
  return table.chains.some(({ rules }) => rules.some(({ statements }) => statements.some((statement) => wordsOf(statement) !== undefined)));
}

/** The table with iptables' matches and targets as nft has them, wherever `listing` says without doubt what they are. */
export function withListing(table: NftTable, listing: string): NftTable {
  const lines = ruleLines(listing);
  return {
    ...table,
    chains: table.chains.map((chain) => {
      const texts = lines.get(chain.name) ?? [];
      if (texts.length !== chain.rules.length) return chain;
      return { ...chain, rules: chain.rules.map((rule, i) => translate(rule, texts[i] ?? '', table.family)) };
    }),
  };
}

function wordsOf(statement: NftStatement): XtWords | undefined {
  if (!('unknown' in statement) || !isRecord(statement.unknown)) return undefined;
  const xt = statement.unknown['xt'];
  if (!isRecord(xt)) return undefined;
  const known = xt['type'] === 'match' ? xtMatches : xtTargets;
  const name = text(xt['name']);
  return Object.hasOwn(known, name) ? known[name] : undefined;
}

/** In the order in which they stand in the rule; where the line has more or fewer of such words than the rule such matches, none of them is taken. */
function translate(rule: NftRule, line: string, family: string): NftRule {
  const kinds = new Set(rule.statements.map(wordsOf).filter((words) => words !== undefined));
  if (kinds.size === 0) return rule;
  // What is quoted, a comment or a log's prefix, may look like anything.
  const plain = `${line.replaceAll(/"[^"]*"/g, '""').replaceAll(/\/\*.*?\*\//g, '')} `;
  const around = { family, drops: plain.endsWith(' drop ') };
  const found = new Map<XtWords, (NftStatement | undefined)[]>();
  for (const kind of kinds) {
    const phrases = [...plain.matchAll(kind.words)];
    const wanted = rule.statements.filter((statement) => wordsOf(statement) === kind).length;
    if (phrases.length !== wanted || plain.match(kind.alike)?.length !== wanted) continue;
    found.set(
      kind,
      phrases.map(([, ...groups]) => kind.read(groups, around)),
    );
  }
  return {
    ...rule,
    statements: rule.statements.map((statement) => {
      const kind = wordsOf(statement);
      return (kind && found.get(kind)?.shift()) ?? statement;
    }),
  };
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
    else if (rules && line !== '' && !/^(type \w+ hook|policy|comment) /.test(line)) rules.push(line);
  }
  return chains;
}
