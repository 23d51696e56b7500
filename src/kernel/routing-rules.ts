/** The host's routing rules (ip-rule(8)), as `ip rule` lists them. Changes nothing. */
import type { Kernel } from './kernel.ts';

export interface RoutingRule {
  readonly family: 4 | 6;
  readonly priority: number;
  /** `from all iif em0 lookup 100` */
  readonly text: string;
}

export async function routingRules(kernel: Kernel): Promise<RoutingRule[]> {
  const lists = await Promise.all(
    ([4, 6] as const).map(async (family) => {
      // A kernel without rules (CONFIG_IP_MULTIPLE_TABLES), or without IPv6, has none.
      const { stdout } = await kernel.tryRun('ip', [`-${family}`, 'rule', 'show']);
      return readRules(family, stdout);
    }),
  );
  return lists.flat();
}

/** `32765:	from all iif em0 [detached] lookup 100`; detached: there is no such interface now. */
function readRules(family: 4 | 6, text: string): RoutingRule[] {
  return text.split('\n').flatMap((line) => {
    const [, priority, rest] = /^(\d+):\s+(.*\S)\s*$/.exec(line) ?? [];
    return rest === undefined ? [] : [{ family, priority: Number(priority), text: rest.replaceAll(/ \[detached\]/g, '') }];
  });
}
