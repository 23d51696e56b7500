/** Slower in a fight, never silent, never for good. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { createPace, lookDelay } from './pace.ts';

test('ten times a minute is no fight, the eleventh is, and the pauses grow up to a minute', () => {
  const pace = createPace();
  const at = (now: number): ReturnType<typeof pace.mended> => pace.mended(['chain inet weft forward', `port w-${now}`], now);
  for (let second = 0; second < 10; second++) assert.equal(at(second * 1000), undefined);
  assert.deepEqual(at(10_000), { things: ['chain inet weft forward'], pauseMs: 5000 });
  assert.deepEqual(at(15_000)?.pauseMs, 10_000);
  assert.deepEqual(at(25_000)?.pauseMs, 20_000);
  assert.deepEqual(at(45_000)?.pauseMs, 40_000);
  assert.equal(at(85_000), undefined);
});

test('what happens every ten seconds goes on being mended', () => {
  const pace = createPace();
  for (let now = 0; now < 600_000; now += 10_000) assert.equal(pace.mended(['setting'], now), undefined);
});

test('failures slow down as well, and a calm time is the end of it', () => {
  const pace = createPace();
  assert.deepEqual([pace.failed(0), pace.failed(5000), pace.failed(10_000)], [5000, 10_000, 20_000]);
  assert.equal(pace.failed(1_000_000), 5000);
});

test('events that lead to nothing are looked into less often', () => {
  assert.deepEqual([0, 1, 3, 4, 6, 20].map(lookDelay), [100, 100, 100, 200, 800, 2000]);
});
