/** What is proved on a host before anything is changed there: with its real addresses, and with what other programs' tables do. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withHost } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const file = (...expect: readonly string[]): string => `name: proof
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  lab: { kind: isolated, subnet: 10.3.0.0/24 }
guests:
  web: { network: a, kind: namespace, address: 10.1.0.10 }
  db: { network: a, kind: namespace, address: 10.1.0.11 }
  box: { network: a, kind: container }
  vm: lab
allow:
  - web -> db tcp/5432
publish:
  - host tcp/2222 -> web tcp/22
expect:
${expect.map((line) => `  - ${line}\n`).join('')}`;

interface Document {
  readonly expectations: readonly { readonly verdict: string; readonly counterexample?: string; readonly because?: string }[];
  readonly reachability: object;
  readonly proofs: readonly { readonly name: string; readonly verdict: string }[];
}

test('a refuted expectation stops apply before anything is touched; one that holds does not', async () => {
  await withHost({ file: file('can: web -> db tcp/5432', 'cannot: internet -> web') }, async (bed) => {
    await bed.host.kernel.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter']);
    const before = await bed.snapshot();
    for (const command of [['plan'], ['apply', '--yes']]) {
      const { status, stdout, stderr } = await bed.tryWeft([...command, '--json']);
      assert.equal(status, 1, stderr);
      const { expectations, proofs, reachability } = JSON.parse(stdout) as Document;
      assert.deepEqual(
        expectations.map(({ verdict }) => verdict),
        ['proved', 'refuted'],
      );
      assert.deepEqual(reachability, {
        opened: [
          ...['box -> internet', 'db -> internet', 'host -> box', 'host -> db', 'host -> vm', 'host -> web'],
          ...['web -> db tcp/5432', 'web -> internet', 'any -> web tcp/22'],
        ],
        closed: [],
        published: ['host tcp/2222 -> web tcp/22'],
        withdrawn: [],
        by: 'proof',
      });
      assert.match(
        expectations[1]?.counterexample ?? '',
        /-> web \(10\.1\.0\.10\) tcp\/22, sent to 203\.0\.113\.1[01] tcp\/2222 is delivered/,
      );
      assert.ok(proofs.length > 0 && proofs.every(({ verdict }) => verdict === 'proved'), JSON.stringify(proofs));
      assert.match(stderr, /error expectation-refuted: /);
    }
    assert.deepEqual(differences(before, await bed.snapshot()), []);

    // Which address it is only the host tells.
    bed.writeFile(file('seen-as: a -> internet 203.0.113.10', 'can: internet -> web tcp/22', 'isolated: lab', 'can: box -> internet'));
    assert.match(await bed.weft('check'), /seen-as: [^\n]* unknown\n/);
    const { expectations } = (await bed.json('apply', '--yes')) as Document;
    assert.deepEqual(
      expectations.map(({ verdict }) => verdict),
      ['proved', 'proved', 'proved', 'proved'],
    );
    // Of a container that is not attached there is nothing to prove here.
    const detached = await bed.tryWeft(['plan']);
    assert.match(detached.stderr, /warning expectation-vacuous: `can: box -> internet`/);

    // Another program's table counts for expectations, and is no fault of Weft's.
    await bed.host.kernel.run('nft', ['-f', '-'], {
      input:
        'table inet other {\nchain f {\ntype filter hook forward priority 10; policy accept;\nip daddr 10.1.0.11 tcp dport 5432 drop\nlimit rate 1/second ip daddr 198.51.100.0/24 drop\n}\n}\n',
    });
    bed.writeFile(file('can: web -> db tcp/5432', 'can: web -> 198.51.100.7'));
    const narrowed = await bed.tryWeft(['plan', '--json']);
    assert.equal(narrowed.status, 1);
    const answer = JSON.parse(narrowed.stdout) as Document;
    assert.deepEqual(
      answer.expectations.map(({ verdict }) => verdict),
      ['refuted', 'unknown'],
    );
    assert.match(
      answer.expectations[0]?.counterexample ?? '',
      /the rule `ip daddr 10\.1\.0\.11 tcp dport 5432 drop` of chain f in table inet other drops it$/,
    );
    assert.match(answer.expectations[1]?.because ?? '', /it depends on the rule `limit rate/);
    assert.ok(
      answer.proofs.every(({ verdict }) => verdict === 'proved'),
      JSON.stringify(answer.proofs),
    );

    // Whoever is logged in from an address that a new network would take is told, and stays.
    const filtered = await bed.snapshot();
    const session = { SSH_CONNECTION: '10.9.0.77 40000 203.0.113.10 22' };
    bed.writeFile(file('cannot: web -> host tcp/22').replace('guests:', '  taken: { kind: nat, subnet: 10.9.0.0/24 }\nguests:'));
    for (const command of [['plan'], ['apply', '--yes']]) {
      const { status, stdout, stderr } = await bed.tryWeft([...command, '--json'], { env: session });
      assert.equal(status, 1, stderr);
      assert.match(stderr, /error session-cut: .*10\.9\.0\.77 -> 203\.0\.113\.10 tcp\/22.*: once .* it gets no answer any more: /);
      const { proofs } = JSON.parse(stdout) as Document;
      assert.deepEqual(
        proofs.filter(({ verdict }) => verdict !== 'proved').map(({ name, verdict }) => `${name} ${verdict}`),
        ['session-stays refuted'],
      );
    }
    assert.deepEqual(differences(filtered, await bed.snapshot()), []);
    const other = { SSH_CONNECTION: '198.51.100.77 40000 203.0.113.10 22' };
    const kept = await bed.tryWeft(['apply', '--yes', '--json'], { env: other });
    assert.equal(kept.status, 0, kept.stderr);
    assert.ok((JSON.parse(kept.stdout) as Document).proofs.some(({ name, verdict }) => name === 'session-stays' && verdict === 'proved'));
  });
});
