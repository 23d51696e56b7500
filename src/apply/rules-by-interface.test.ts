/** Routing rules that name an interface which is to join a bridge. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { rulesByInterface } from './rules-by-interface.ts';

const joining = [{ interface: 'em0', bridge: 'br-lan' }];

it('a rule by interface is told with the one to add, in its family', () => {
  const rule = { family: 6, priority: 100, text: 'from all to 2001:db8::/32 iif em0 lookup isp2' } as const;
  const [warning, ...more] = rulesByInterface([rule, { family: 4, priority: 0, text: 'from all lookup local' }], joining);
  assert.equal(more.length, 0);
  assert.equal(warning?.severity, 'warning');
  assert.match(
    warning.message,
    /IPv6 routing rule `100: from all to 2001:db8::\/32 iif em0 lookup isp2` names em0.*`ip -6 rule add pref 100 from all to 2001:db8::\/32 iif br-lan lookup isp2`/,
  );
});

it('nothing where the bridge has its rule already, or the name is another’s', () => {
  const of = (...texts: string[]): number =>
    rulesByInterface(
      texts.map((text) => ({ family: 4, priority: 9, text })),
      joining,
    ).length;
  assert.equal(of('from all iif em0 lookup 100'), 1);
  assert.equal(of('from all oif em0 lookup 100'), 1);
  assert.equal(of('from all iif em0 lookup 100', 'from all iif br-lan lookup 100'), 0);
  assert.equal(of('from all iif em0.10 lookup 100', 'from all lookup em0'), 0);
});
