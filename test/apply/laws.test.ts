/**
 * Laws of the apply over random small files: applied twice changes nothing, from any file to any other and back is as never left, and destroy after
 * apply is as before, by plain tools' listings of the host.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { withHost } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';
import { fileOf, shape } from './random-file.ts';

it('twice is once; there and back is nothing; gone is gone', { timeout: 800_000 }, async () => {
  await withHost({ file: 'name: law\n' }, async (bed) => {
    const before = await bed.snapshot();
    await fc.assert(
      fc.asyncProperty(shape, shape, async (one, other) => {
        bed.writeFile(fileOf(one));
        const applied = await bed.tryWeft(['apply', '--yes', '--json']);
        assert.equal(applied.status, 0, `${applied.stderr}\n${fileOf(one)}`);
        const planned = (await bed.json('plan')) as { changes: unknown[] };
        assert.deepEqual(planned.changes, [], fileOf(one));
        bed.writeFile(fileOf(other));
        const changed = await bed.tryWeft(['apply', '--yes', '--json']);
        assert.equal(changed.status, 0, `${changed.stderr}\n${fileOf(one)}\n${fileOf(other)}`);
        assert.equal((await bed.tryWeft(['status'])).status, 0);
        await bed.weft('destroy', '--yes');
        assert.deepEqual(differences(before, await bed.snapshot()), [], `${fileOf(one)}\n${fileOf(other)}`);
        assert.deepEqual(bed.leftovers(), []);
      }),
      { numRuns: 12, seed: 20_261_121 },
    );
  });
});
