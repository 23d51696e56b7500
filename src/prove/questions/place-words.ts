/** A rule of the kernel's, or another thing that decides, as text. */
import type { DecidedBy } from '../packet-model.ts';

/** `table ip filter, chain FORWARD: its rule \`…\``. */
export function printablePlace(by: DecidedBy): string {
  if ('what' in by) return by.what;
  const { family, table, chain, rule } = by;
  return `${rule === 'policy' ? 'the policy' : `the rule \`${rule}\``} of chain ${chain} in table ${family} ${table}`;
}
