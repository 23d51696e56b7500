/** What a plan says that it opens and closes. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fabricOf } from '../../test/apply/compiled.ts';
import { compareReach, nothingReaches, reachOf, type Reach } from './reach.ts';

function reach(rules: string, network = 'kind: nat'): Reach {
  const { fabric, host } = fabricOf(`
name: demo
networks:
  internal: { ${network}, subnet: 10.0.105.0/24 }
guests:
  web: internal
  db: internal
  off: { network: none }
${rules}
`);
  return reachOf(fabric, host);
}

it('rules and defaults, each once', () => {
  assert.deepEqual(reach('allow: [web -> db tcp/5432]').allowed, [
    'db -> internet',
    'host -> db',
    'host -> web',
    'web -> db tcp/5432',
    'web -> internet',
  ]);
  assert.deepEqual(reach('', 'kind: isolated, from-host: deny').allowed, []);
  assert.deepEqual(reach('', 'kind: nat, egress: deny').allowed, ['host -> db', 'host -> web']);
  assert.ok(reach('', 'kind: nat, filter: off').allowed.includes('any -> web'));
});

const none = { published: [], withdrawn: [] };

it('a block that comes closes, one that goes opens', () => {
  assert.deepEqual(compareReach(reach(''), reach('block: [web -> internet]')), { opened: [], closed: ['web -> internet'], ...none });
  assert.deepEqual(compareReach(reach('block: [web -> internet]'), reach('')), { opened: ['web -> internet'], closed: [], ...none });
  assert.deepEqual(compareReach(reach('allow: [web -> db tcp/1]'), reach('allow: [web -> db tcp/2]')), {
    opened: ['web -> db tcp/2'],
    closed: ['web -> db tcp/1'],
    ...none,
  });
});

it('the same opens and closes nothing; the first apply opens all', () => {
  assert.deepEqual(compareReach(reach(''), reach('')), { opened: [], closed: [], ...none });
  assert.deepEqual(compareReach(nothingReaches, reach('')).opened, reach('').allowed);
});

it('published ports come and go with the flow after NAT', () => {
  const published = reach('publish: [host tcp/2222 -> web tcp/22 from db, host udp/53 -> db]');
  const more = [
    { text: 'host tcp/2222 -> web tcp/22 from db', flow: 'db -> web tcp/22' },
    { text: 'host udp/53 -> db', flow: 'any -> db udp/53' },
  ];
  assert.deepEqual(compareReach(reach(''), published), { opened: [], closed: [], published: more, withdrawn: [] });
  assert.deepEqual(compareReach(published, reach('publish: [host udp/53 -> db]')).withdrawn, more.slice(0, 1));
});
