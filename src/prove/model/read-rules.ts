/** Reads `ip -j -4 rule` and `ip -j -6 rule` (ip-rule(8), print_rule of iproute2). */
import { isRecord, text } from '../../hoststate/nft-json.ts';
import { familyBits, formatPrefix, parsePrefix, type Family } from '../../net/ip.ts';
import type { ModelRule } from '../kernel-model.ts';

/** The rules of one family, by preference. A selector that is not modelled makes the rule's match unknown, and is named. */
export function readRules(json: unknown, family: Family): ModelRule[] {
  return (Array.isArray(json) ? json : [])
    .filter(isRecord)
    .map((rule) => readRule(rule, family))
    .sort((a, b) => a.preference - b.preference);
}

/** What every network namespace begins with; IPv6 has no table `default`. */
export const kernelRules: readonly ModelRule[] = [
  { family: 4, preference: 0, action: { table: 'local' } },
  { family: 4, preference: 32766, action: { table: 'main' } },
  { family: 4, preference: 32767, action: { table: 'default' } },
  { family: 6, preference: 0, action: { table: 'local' } },
  { family: 6, preference: 32766, action: { table: 'main' } },
];

type Json = Readonly<Record<string, unknown>>;

const understood: ReadonlySet<string> = new Set([
  ...['priority', 'not', 'src', 'srclen', 'dst', 'dstlen', 'fwmark', 'fwmask', 'iif', 'oif', 'iif_detached', 'oif_detached'],
  ...['table', 'suppress_prefixlen', 'action', 'goto', 'unresolved', 'nop', 'protocol'],
]);

function readRule(rule: Json, family: Family): ModelRule {
  const from = selector(rule, 'src', family);
  const to = selector(rule, 'dst', family);
  const mark = markOf(rule);
  const [action, strange] = actionOf(rule);
  const unknown = [...Object.keys(rule).filter((key) => !understood.has(key)), ...strange];
  return {
    family,
    preference: typeof rule['priority'] === 'number' ? rule['priority'] : 0,
    ...('not' in rule ? { not: true as const } : {}),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(typeof rule['iif'] === 'string' ? { iif: rule['iif'] } : {}),
    ...(typeof rule['oif'] === 'string' ? { oif: rule['oif'] } : {}),
    ...(mark === undefined ? {} : { mark }),
    ...(unknown.length === 0 ? {} : { unknown: unknown.join(', ') }),
    action,
  };
}

/** `"src": "10.0.0.0", "srclen": 8`; without a length a single address, `all` or nothing for any. */
function selector(rule: Json, key: 'src' | 'dst', family: Family): string | undefined {
  const address = text(rule[key]);
  if (address === '' || address === 'all') return undefined;
  const length = rule[`${key}len`];
  const prefix = parsePrefix(
    `${address === '0' ? (family === 4 ? '0.0.0.0' : '::') : address}/${typeof length === 'number' ? length : familyBits(family)}`,
  );
  return prefix && formatPrefix(prefix);
}

function markOf(rule: Json): ModelRule['mark'] {
  const value = Number(rule['fwmark']);
  const mask = rule['fwmask'] === undefined ? 0xffffffff : Number(rule['fwmask']);
  if (rule['fwmark'] === undefined && rule['fwmask'] === undefined) return undefined;
  return { value: Number.isNaN(value) ? 0 : value, mask };
}

function actionOf(rule: Json): [ModelRule['action'], readonly string[]] {
  const { goto, action, table } = rule;
  if ('nop' in rule) return [{ nop: true }, []];
  // A goto to a rule that is not there does nothing until there is one.
  if (typeof goto === 'number') return ['unresolved' in rule ? { nop: true } : { goto }, []];
  if (action === 'unreachable' || action === 'prohibit' || action === 'blackhole') return [{ answer: action }, []];
  if (typeof table === 'string' || typeof table === 'number') {
    const suppressed = rule['suppress_prefixlen'];
    return [{ table: String(table), ...(typeof suppressed === 'number' ? { suppressPrefixLength: suppressed } : {}) }, []];
  }
  return [{ nop: true }, [text(action) || 'an action that is not understood']];
}
