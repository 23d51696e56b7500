/** Lines of `nft monitor`, as 1.0.6 prints them. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { readTraceLine } from './trace.ts';

test('rules and policies of a trace are read, everything else is not', () => {
  for (const [line, read] of [
    [
      'trace id 39cb0f74 inet weft guests rule drop (verdict drop)',
      { family: 'inet', table: 'weft', chain: 'guests', rule: 'drop', verdict: 'drop' },
    ],
    [
      'trace id 39cb0f74 ip nat POST rule oifname "a (b)" counter packets 1 bytes 60 masquerade (verdict accept)',
      { family: 'ip', table: 'nat', chain: 'POST', rule: 'oifname "a (b)" counter packets 1 bytes 60 masquerade', verdict: 'accept' },
    ],
    [
      'trace id 1 netdev n c unknown rule handle 2 (verdict continue)',
      { family: 'netdev', table: 'n', chain: 'c', rule: '', verdict: 'continue' },
    ],
    ['trace id 1 inet weft forward policy accept ', { family: 'inet', table: 'weft', chain: 'forward', verdict: 'accept' }],
    ['trace id 1 inet weft allow4 verdict continue ', undefined],
    ['trace id 1 inet weft forward packet: iif "br" oif "x" ip saddr 10.0.0.1', undefined],
    ['add rule inet weft guests drop', undefined],
  ] as const)
    assert.deepEqual(readTraceLine(line), read, line);
});
