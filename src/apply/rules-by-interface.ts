/**
 * Routing rules of others that go by an interface which is to join a bridge: packets come in by the bridge then (and programs that bind to the interface have to bind to the bridge), so
 * such a rule matches no more, and what it routed by another table goes by the main one.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Enslaved } from '../hoststate/model.ts';
import type { RoutingRule } from '../kernel/routing-rules.ts';

/** Code `foreign-interface`, warnings; none for a rule that is there for the bridge too. */
export function rulesByInterface(rules: readonly RoutingRule[], joining: readonly Enslaved[]): Diagnostic[] {
  return joining.flatMap((handover) =>
    rules.flatMap((rule): Diagnostic[] => {
      const then = renamed(rule.text, handover);
      if (then === rule.text || rules.some(({ family, text }) => family === rule.family && text === then)) return [];
      const command = `ip ${rule.family === 6 ? '-6 ' : ''}rule add pref ${rule.priority} ${then}`;
      const { interface: name, bridge } = handover;
      return [
        {
          code: 'foreign-interface',
          severity: 'warning',
          message: `the IPv${rule.family} routing rule \`${rule.priority}: ${rule.text}\` names ${name}, and packets will come in and go out by ${bridge}: it will match no more. Add one for ${bridge} (\`${command}\`, and where the rule is set at boot) before you apply`,
        },
      ];
    }),
  );
}

const renamed = (text: string, { interface: name, bridge }: Enslaved): string => {
  const words = text.split(' ');
  return words.map((word, i) => (word === name && (words[i - 1] === 'iif' || words[i - 1] === 'oif') ? bridge : word)).join(' ');
};
