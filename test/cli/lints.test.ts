/** What `check` says of rules that do nothing, and who has said it already. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { weft, withFiles } from './weft.ts';

const file = `name: lints
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  b: { kind: nat, subnet: 10.2.0.0/24, egress: deny, from-host: deny }
guests: { web: a, db: a, app: b }
allow:
  - web -> db tcp/5432
  - web -> db tcp/80
  - a -> db tcp/80-90
  - web -> internet tcp/443
  - host -> web
  - app -> internet tcp/443
  - db -> web tcp/22
  - web -> web
  - 172.16.0.0/12 -> 172.16.5.0/24
  - { from: web, to: internet, ports: udp/123, log: true }
block:
  - any -> web tcp/22
  - db -> web tcp/22
`;

test('check warns of rules that do nothing, naming who has said it, and of no other', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { status, out } = await weft(['check', '--json'], { cwd });
    assert.equal(status, 0);
    const { problems } = JSON.parse(out) as { problems: { code: string; line: number; message: string }[] };
    assert.deepEqual(
      problems.map(({ code, line, message }) => `${code} ${line} ${/: (.*); take it out/.exec(message)?.[1] ?? ''}`),
      [
        'rule-without-effect 8 other rules say all of it already by `a -> db tcp/80-90` (line 9)',
        'rule-without-effect 10 all of it is allowed by default (`egress`, `from-host`)',
        'rule-without-effect 11 all of it is allowed by default (`egress`, `from-host`)',
        'rule-without-effect 13 all of it is blocked by `any -> web tcp/22` (line 18), `db -> web tcp/22` (line 19)',
        'rule-without-effect 14 no packet that Weft decides about can match it',
        'rule-without-effect 15 no packet that Weft decides about can match it',
        'rule-without-effect 19 other rules say all of it already by `any -> web tcp/22` (line 18)',
      ],
    );
  }));
