/** The rule in nft's words, `…` for what Weft does not understand. */
import { isRecord, text } from '../hoststate/nft-json.ts';
import { printStatement } from '../hoststate/nft-print-rule.ts';
import type { NftRule } from '../hoststate/nft.ts';

export function ruleText(rule: NftRule): string {
  const words = rule.statements
    .filter((statement) => !('counter' in statement))
    .map((statement) => {
      if ('unknown' in statement) return unknownText(statement.unknown);
      try {
        return printStatement(statement);
      } catch {
        return '…';
      }
    });
  return [...words, ...(rule.comment === undefined ? [] : [`comment "${rule.comment}"`])].join(' ');
}

function unknownText(raw: unknown): string {
  const xt = isRecord(raw) ? raw['xt'] : undefined;
  return isRecord(xt) && text(xt['name']) !== '' ? `(${text(xt['name'])})` : '…';
}
