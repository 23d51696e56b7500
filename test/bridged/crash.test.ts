/**
 * One TCP session from a neighbour to the host, through the very interface, while a bridged network is applied and destroyed with each point of it made to fail in turn, and with
 * kill -9 at each: no byte is lost, and the host's own addresses, routes and settings are as they were.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { faultsFromEnvironment } from '../../src/apply/faults.ts';
import { WeftError } from '../../src/diagnostic/diagnostic.ts';
import { applier, sessionIn } from '../apply/in-process.ts';
import { differences } from '../bed/snapshot.ts';
import { HOST, withLan, type LanBed } from './lan.ts';
import { openStream } from './stream.ts';

const file = `
name: move
networks: { external: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: 192.168.118.254, range: 192.168.118.220-192.168.118.230 } }
guests: { web: external }
`;

/** The points at which the command leaves something that no earlier point has left. */
async function pointsOf(bed: LanBed, args: readonly string[]): Promise<number[]> {
  const { stderr } = await bed.tryWeft(args, { env: { WEFT_FAULT: 'list' } });
  const points = [...stderr.matchAll(/^point (\d+): (.*)$/gm)].map(([, number, name]) => ({ number: Number(number), name: name ?? '' }));
  const chosen = points.filter(({ name }) => /^(before: move|after: |journal written|read back|committing|new record in place)/.test(name));
  assert.ok(chosen.filter(({ name }) => name.includes('move the host')).length >= 2, stderr);
  return chosen.map(({ number }) => number);
}

it('a session through the interface goes on, whatever fails', { timeout: 300_000 }, async () => {
  await withLan(file, async (bed) => {
    const before = await bed.snapshot();
    const stream = await openStream(bed.neighbour, bed.host, HOST);
    const applying = await pointsOf(bed, ['apply', '--yes']);
    const leaving = await pointsOf(bed, ['destroy', '--yes']);
    assert.deepEqual(differences(before, await bed.snapshot()), []);
    for (const point of applying) {
      const context = { ...sessionIn(bed), faults: faultsFromEnvironment({ WEFT_FAULT: `fail@${point}` }) };
      const error: unknown = await applier(
        bed,
        context,
      )(file).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof WeftError && [2, 3, 4].includes(error.exitCode), `point ${point}: ${String(error)}`);
      // Past the commit it stands, and is taken away again.
      if (error.exitCode === 4) await bed.weft('destroy', '--yes');
      assert.deepEqual(differences(before, await bed.snapshot()), [], `fail at point ${point}`);
    }
    for (const point of applying) {
      assert.equal((await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `kill@${point}` } })).status, 137);
      await bed.weft('destroy', '--yes');
      assert.deepEqual(differences(before, await bed.snapshot()), [], `kill at point ${point}`);
    }
    for (const point of leaving) {
      await applier(bed)(file);
      assert.equal((await bed.tryWeft(['destroy', '--yes'], { env: { WEFT_FAULT: `kill@${point}` } })).status, 137);
      await bed.weft('destroy', '--yes');
      assert.deepEqual(differences(before, await bed.snapshot()), [], `kill at point ${point} of leaving`);
    }
    assert.ok((await stream.end()) > 100_000);
    assert.deepEqual(bed.leftovers(), []);
  });
});
