/** A ruleset that another program makes while we look (ufw, by iptables-nft): captured, judged by both engines, and tried with packets. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { capture } from '../../src/kernel/capture.ts';
import { modelOfCapture } from '../../src/prove/model/read-capture.ts';
import { compare, packet } from './compare.ts';
import { openRouterBed } from './router-bed.ts';

const rules = [
  'deny in on up0 from 203.0.113.9',
  'allow proto tcp to any port 7777',
  'reject proto udp to any port 7777',
  'route allow in on br-lan out on up0',
  'route allow in on up0 out on br-lan to 10.5.0.11 port 80,8000:8010 proto tcp',
  'route allow in on up0 out on br-lan to fd00:5::11 port 80 proto udp',
];

test('ufw: what is said of its rules is what packets do', async () => {
  // The sandbox's /etc is a directory of links: copies can be written.
  for (const path of ['/etc/ufw', '/etc/default'])
    execFileSync('sh', ['-c', `cp -rL ${path} ${path}.own; rm -rf ${path}; mv ${path}.own ${path}`]);
  const bed = await openRouterBed();
  try {
    assert(await bed.load(''));
    for (const rule of rules) await bed.router.run('ufw', rule.split(' '));
    await bed.router.run('ufw', ['--force', 'enable']);
    const model = modelOfCapture(await capture(bed.router, 'router'));
    assert(model);
    const fates = await compare(bed, model, [
      packet('o1', '192.0.2.1', 6, 7777),
      packet('o1', '192.0.2.1', 6, 7777, '203.0.113.9'),
      packet('o1', '192.0.2.1', 17, 7777),
      packet('o1', '2001:db8:1::1', 6, 7777),
      packet('a', '203.0.113.5', 17, 53),
      packet('a', '2001:db8:f::5', 6, 443),
      packet('a', '10.6.0.2', 6, 443),
      packet('o1', '10.5.0.11', 6, 79),
      packet('o1', '10.5.0.11', 6, 80),
      packet('o1', '10.5.0.11', 6, 7999),
      packet('o1', '10.5.0.11', 6, 8000),
      packet('o1', '10.5.0.11', 6, 8010),
      packet('o1', '10.5.0.11', 6, 8011),
      packet('o1', '10.5.0.12', 6, 80),
      packet('o1', 'fd00:5::11', 17, 80),
      packet('o1', 'fd00:5::11', 6, 80),
      packet('o1', 'fd00:5::11', 17, 81),
      packet('router', '203.0.113.5', 6, 22),
      packet('router', '203.0.113.5', 17, 22),
    ]);
    const answered = fates.map((fate) => (fate === 'answered' ? 'y' : 'n')).join('');
    assert.equal(answered, 'ynnyyynnynyynnynnyy', fates.join('\n'));
  } finally {
    await bed.close();
  }
});
