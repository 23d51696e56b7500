/** A change of routed networks that fails, or is killed, at any point of it: the host is as it was, or as before the change. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';
import { differences, type Snapshot } from '../bed/snapshot.ts';

const head = `
name: hit
hosts: { vps: { address: 203.0.113.10, macs: '02:00:00:00:e0:01' } }
networks:
  public: { kind: routed, addresses: [198.18.5.0/29, 203.0.113.20, '2001:db8:cb00::/64'], bootstrap: 172.30.0.0/24 }
`;
const first = `${head}guests:
  a: { kind: namespace, network: public, address: 198.18.5.0 }
  b: { kind: namespace, network: public, address: 198.18.5.7 }
`;
/** An address changes hands, a guest leaves, one comes. */
const second = `${head}guests:
  b: { kind: namespace, network: public, address: 198.18.5.0 }
  c: { kind: namespace, network: public, address: 203.0.113.20 }
`;

/** A port made anew has another MAC and index. */
const changed = (before: Snapshot, after: Snapshot): string[] => differences(before, after).filter((line) => !/^[+-] links: w-/.test(line));

it('goes back from wherever it failed', { timeout: 600_000 }, async () => {
  await withHost({ file: first, host: { routes: ['198.18.5.0/29'] } }, async (bed) => {
    await bed.host.kernel.run('ip', ['link', 'set', 'dev', 'eth0', 'address', '02:00:00:00:e0:01']);
    const empty = await bed.snapshot();
    await bed.weft('apply', '--yes');
    const before = await bed.snapshot();
    bed.writeFile(second);
    // Every third; test/apply/crash.test.ts walks through all of them.
    for (let point = 2; ; point += 3) {
      const { status } = await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `fail@${point}` } });
      // 4: from the commit on it goes forward only.
      if (status === 0 || status === 4) break;
      assert.deepEqual(changed(before, await bed.snapshot()), [], `fail@${point}`);
    }
    await bed.weft('apply', '--yes');
    for (const name of ['b', 'c'])
      assert.equal((await bed.probe(name, 'outer', { to: '198.51.100.7', protocol: 'tcp', port: 80 })).answered, true);
    assert.match(await bed.weft('status'), /Everything is as applied/);
    const after = await bed.snapshot();
    bed.writeFile(first);
    for (let point = 5; point < 40; point += 8) {
      const { status } = await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `kill@${point}` } });
      if (status === 0) break;
      bed.writeFile(second);
      await bed.weft('apply', '--yes');
      assert.deepEqual(changed(after, await bed.snapshot()), [], `kill@${point}`);
      bed.writeFile(first);
    }
    await bed.weft('destroy', '--yes');
    assert.deepEqual(differences(empty, await bed.snapshot()), []);
  });
});
