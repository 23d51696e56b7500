/** Another program's rules translate a port that the file publishes: it is told, with table, chain and rule; and it is true. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';

const file = `
name: both
networks:
  front: { kind: nat, subnet: 10.1.0.0/24 }
guests:
  web: { network: front, kind: namespace, address: 10.1.0.20 }
publish:
  - host tcp/2222 -> web tcp/22
  - host tcp/8000-8010 -> web
`;

/** As Docker has it: the packets for the host's own addresses go through a chain of its own. */
const docker = (port: string): string => `
table ip nat {
  chain DOCKER {
    iifname "docker0" return
    iifname != "docker0" tcp dport ${port} dnat to 172.17.0.2:80
  }
  chain PREROUTING {
    type nat hook prerouting priority -110; policy accept;
    fib daddr type local jump DOCKER
  }
}
`;

it('a rule that takes a published port is named, others are not', { timeout: 180_000 }, async () => {
  await withHost({ file }, async (bed) => {
    const { kernel } = bed.host;
    const warnings = async (...args: string[]): Promise<string[]> => {
      const { status, stderr } = await bed.tryWeft(args);
      assert.equal(status, 0, stderr);
      return stderr.split('\n').filter((line) => line.includes('foreign-translation'));
    };
    const load = (text: string): Promise<string> => kernel.run('nft', ['-f', '-'], { input: text });
    const reached = async (): Promise<boolean> =>
      (await bed.probe('outer', 'web', { to: '203.0.113.10', protocol: 'tcp', port: 2222, listenPort: 22, timeoutMs: 1500 })).answered;
    await load(docker('{ 80, 443 }'));
    assert.deepEqual(await warnings('apply', '--yes'), []);
    assert.equal(await reached(), true);

    await load('flush ruleset ip');
    await load(docker('2222'));
    const [told, ...more] = await warnings('plan');
    assert.match(
      told ?? '',
      /table ip nat, chain DOCKER: its rule `iifname != "docker0" tcp dport 2222 dnat to 172\.17\.0\.2:80` translates tcp\/2222 as well.*host tcp\/2222 -> web tcp\/22/,
    );
    assert.deepEqual(more, []);
    assert.equal(await reached(), false);
    // Also where nothing is to be changed, and in a range.
    assert.equal((await warnings('apply', '--yes')).length, 1);
    assert.equal((await warnings('status')).length, 1);
    await load('flush ruleset ip');
    await load(docker('8010'));
    assert.match((await warnings('plan')).join(), /translates tcp\/8010 as well/);

    // With iptables' own words for it.
    await load('flush ruleset ip');
    await kernel.run('iptables-nft', [
      '-t',
      'nat',
      '-A',
      'PREROUTING',
      '-p',
      'tcp',
      '--dport',
      '2222',
      '-j',
      'REDIRECT',
      '--to-ports',
      '9',
    ]);
    assert.match((await warnings('plan')).join(), /table ip nat, chain PREROUTING: its rule .*(redirect|REDIRECT).* translates tcp\/2222/);
  });
});
