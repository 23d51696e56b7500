/** A rehearsal sees what it is for: a rule that does not let through, and one that lets too much through; and it samples big fabrics. */
import '../../test/bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { checkFile } from '../fabric/check-file.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open.ts';
import { removeNamespace } from './bed.ts';
import { rehearse } from './rehearse.ts';
import type { Rehearsal } from './rehearse.ts';

const small = `
name: small
networks: { internal: { kind: nat, subnet: [10.0.105.0/24, 'fd00:105::/64'] } }
guests:
  web: internal
  db: { network: internal, kind: container }
allow: [web -> db tcp/5432 udp/5000-5010 icmp]
expect:
  - only: web -> db tcp/5432
`;

/** The uplink itself bridged, and another interface. */
const onTheWire = `
name: wire
hosts: { vps: { uplink: eth0, address: 192.168.118.10 } }
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24 }
  external: { kind: bridged, interface: em0, subnet: [192.168.119.0/24, '2001:db8:119::/64'], gateway: 192.168.119.254, range: 192.168.119.220-192.168.119.230, dns: 1.1.1.1 }
  lan: { kind: bridged, interface: eth0, subnet: 192.168.118.0/24, gateway: 192.168.118.254, range: 192.168.118.220-192.168.118.230 }
  bare: { kind: bridged, interface: em1, subnet: 192.168.117.0/24, filter: off, dns: 1.1.1.1 }
guests: { web: internal, awesome: external, other: external, third: lan, free: bare }
allow:
  - awesome -> 192.168.119.0/24
  - 192.168.119.0/24 -> awesome
  - 192.168.118.5 -> third tcp/80
  - web -> third tcp/81
`;

/** Every kind of party, rule, network and guest there is on one host. */
const everything = `
name: all
hosts:
  vps: { address: [203.0.113.10, 203.0.113.11] }
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, 'fd00:105::/64'], gateway: 10.0.105.254, snat: 203.0.113.11 }
  quiet: { kind: nat, subnet: 10.0.106.0/24, egress: deny, from-host: deny }
  lab: { kind: isolated, subnet: [192.168.77.0/24, 'fd00:77::/64'] }
  open: { kind: nat, subnet: 10.0.107.0/24, filter: off }
guests:
  web: internal
  db: { network: internal, address: 10.0.105.20, kind: container, labels: { role: db } }
  vm1: { nics: [ { network: internal }, { network: lab } ] }
  jail: { inside: vm1, network: internal, address: 10.0.105.55 }
  vault: lab
  other: { network: quiet, labels: { role: db } }
  free: open
  offline: { network: none }
groups:
  dbs: { label: role=db }
  both: [web, vm1]
allow:
  - both -> dbs tcp/5432
  - web -> jail udp/1000-2000
  - internet -> vm1.internal tcp/443
  - other -> internet tcp/80
  - other -> 9.9.9.9 udp/53
  - other -> updates.example.org tcp/443
  - host -> other icmp
  - vault -> host tcp/3128
  - role=db -> web any
  - 10.0.105.0/24 -> vault icmp
  - any -> web tcp/8080
  - vm1.lab -> vault
  - vps -> vault tcp/22
block:
  - db -> internet
  - host -> db
  - web -> jail udp/1500
expect:
  - can: web -> db tcp/5432
  - cannot: db -> internet
  - only: both -> other tcp/5432
  - only-strict: both -> db tcp/5432
  - seen-as: web -> internet 203.0.113.11
  - isolated: lab
  - cannot: vault -> internet
  - via: internal -> internet through vps
  - exposed: ['internet -> vm1 tcp/443']
`;

async function run(text: string, beforeProbing?: (host: Kernel) => Promise<void>): Promise<Rehearsal> {
  const file = join(mkdtempSync('/run/rehearse-'), 'weft.yaml');
  writeFileSync(file, text);
  const problems: Diagnostic[] = [];
  const { fabric } = checkFile(file);
  assert.ok(fabric);
  const host = fabric.hosts[0]?.name ?? '';
  const request = { fabric, host, file, ...(beforeProbing === undefined ? {} : { beforeProbing }) };
  const rehearsal = await rehearse(
    openKernel(),
    request,
    (problem) => problems.push(problem),
    () => undefined,
  );
  assert.ok(rehearsal, JSON.stringify(problems));
  return rehearsal;
}

/** A second rehearsal in the same sandbox needs the first one's namespaces gone. */
afterEach(async () => {
  for (const name of readdirSync('/run/netns')) await removeNamespace(openKernel(), name);
  rmSync('/run/weft-twin', { recursive: true, force: true });
});

const texts = (rehearsal: Rehearsal): string[] =>
  rehearsal.cases.map(
    ({ from, to, protocol, port, expected, ok }) => `${from.label} ${to.label} ${protocol} ${port ?? ''} ${String(expected)} ${String(ok)}`,
  );

describe('rehearse', () => {
  it('tries a rule at its ports and beside them, whatever kind the guests are', async () => {
    const rehearsal = await run(small);
    assert.equal(rehearsal.ok, true, texts(rehearsal).join('\n'));
    for (const line of [
      'web db tcp 5432 true true',
      'web db tcp 5433 false true',
      'web db udp 5000 true true',
      'web db udp 5010 true true',
      'web db udp 5011 false true',
      'web db icmp  true true',
    ])
      assert.ok(texts(rehearsal).filter((one) => one === line).length === 2, `${line}, in both families`);
    assert.equal(rehearsal.expectations[0]?.verdict, 'proved');
  });

  it('builds what bridged networks are on, and the neighbours that rules name', async () => {
    const rehearsal = await run(onTheWire);
    assert.equal(rehearsal.ok, true, texts(rehearsal).join('\n'));
    for (const line of ['awesome 192.168.119.0/24 tcp 22 true true', '192.168.118.5 third tcp 80 true true', 'web third tcp 82 false true'])
      assert.ok(texts(rehearsal).includes(line), `${line}\n${texts(rehearsal).join('\n')}`);
  });

  it('sees a host that lets everything through', async () => {
    const rehearsal = await run(small, async (host) => {
      await host.run('nft', ['delete', 'table', 'inet', 'weft']);
    });
    assert.equal(rehearsal.ok, false);
    assert.ok(texts(rehearsal).includes('web db tcp 5433 false false'));
    assert.equal(rehearsal.expectations[0]?.verdict, 'refuted');
    assert.match(rehearsal.expectations[0]?.counterexample ?? '', /-> db tcp\/5432 \(IPv[46]\): it was answered/);
  });

  it('sees a published port that leads nowhere, and one whose guest is open without it', async () => {
    const published = `
name: pub
networks: { internal: { kind: nat, subnet: 10.0.105.0/24 } }
guests: { web: internal, mate: internal }
publish: [host tcp/2222 -> web tcp/22, host udp/5000-5001 -> mate from web]
expect: [{ can: internet -> web tcp/22 }, { cannot: internet -> mate }]
`;
    const wrong = (rehearsal: Rehearsal): string[] =>
      rehearsal.cases.flatMap(({ from, to, dial, port, ok }) =>
        ok ? [] : [`${from.label} ${to.label} ${dial ? `by ${dial.port}` : port}`],
      );
    const right = await run(published);
    assert.deepEqual([right.ok, wrong(right)], [true, []]);
    assert.deepEqual([right.rules.total, right.rules.tried], [2, 2]);
    for (const name of readdirSync('/run/netns')) await removeNamespace(openKernel(), name);
    rmSync('/run/weft-twin', { recursive: true, force: true });
    const broken = await run(published, async (host) => {
      await host.run('nft', ['delete element inet weft publish4 { tcp . 2222 }; insert rule inet weft guests udp dport 5001 accept']);
    });
    assert.deepEqual(wrong(broken).sort(), [
      'host web by 2222',
      'internet mate 5001',
      'internet web by 2222',
      'mate web by 2222',
      'web mate 5001',
      'web web by 2222',
    ]);
    assert.deepEqual(
      broken.expectations.map(({ verdict }) => verdict),
      ['refuted', 'refuted'],
    );
  });

  it('sees a host that lets nothing through', async () => {
    const rehearsal = await run(small, async (host) => {
      await host.run('nft', ['-f', '-'], {
        input: 'table inet broken {\nchain dropped {\ntype filter hook forward priority 0; policy drop;\n}\n}\n',
      });
    });
    assert.equal(rehearsal.ok, false);
    assert.ok(texts(rehearsal).includes('web db tcp 5432 true false'));
    assert.ok(texts(rehearsal).includes('web db tcp 5433 false true'));
  });

  it('finds packets and policy of one mind on everything the file can say', async () => {
    const rehearsal = await run(everything);
    assert.equal(
      rehearsal.ok,
      true,
      texts(rehearsal)
        .filter((line) => line.endsWith('false'))
        .join('\n'),
    );
    assert.ok(rehearsal.cases.length > 100);
    const verdicts = rehearsal.expectations.map(({ verdict }) => verdict);
    assert.deepEqual(verdicts, [...Array<string>(7).fill('proved'), 'unknown', 'unknown']);
    // What vm1 sends from its lab address to another subnet leaves by its other NIC: no rule's business.
    assert.deepEqual(
      texts(rehearsal).filter((line) => line.startsWith('vm1.lab db ')),
      [],
    );
  });

  it('samples a big fabric', async () => {
    const guests = Array.from({ length: 150 }, (_, index) => `  g${index}: internal`).join('\n');
    const rehearsal = await run(
      `name: big\nnetworks: { internal: { kind: nat, subnet: 10.1.0.0/16 } }\nguests:\n${guests}\nallow: [internal -> internal tcp/80]\n`,
    );
    assert.equal(rehearsal.ok, true, texts(rehearsal).join('\n'));
    assert.equal(rehearsal.guests.total, 150);
    assert.ok(rehearsal.guests.taken >= 2 && rehearsal.guests.taken <= 20);
    assert.equal(rehearsal.possible, 150 * 150);
  });
});
