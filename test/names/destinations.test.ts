/** Domain names as destinations (docs/names-as-destinations.md), with real packets: what an answer opens, for whom, for how long, and that nothing else does. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withHost, type HostBed } from '../bed/host.ts';
import { pointResolverOutside } from '../../src/twin/bed.ts';
import { outerDns } from './outer-dns.ts';
import { differences } from '../bed/snapshot.ts';

const rules = [
  'web -> updates.example.org tcp/443',
  'web -> *.wild.example.org tcp/80',
  'web -> alias.example.org, dual.example.org, big.example.org, own.example.org, soon.example.org tcp/443',
  'web -> 203.0.113.1 udp/53',
  'far -> updates.example.org tcp/8443',
];
const file = (allow: readonly string[]): string => `
name: named
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64], egress: deny, dns: 203.0.113.1 }
  b: { kind: nat, subnet: 10.2.0.0/24, egress: deny }
guests:
  web: { network: a, kind: namespace }
  other: { network: a, kind: namespace }
  far: { network: b, kind: namespace, address: 10.2.0.9 }
allow:
${allow.map((rule) => `  - '${rule}'\n`).join('')}
`;

const many = Array.from({ length: 120 }, (_, index) => `198.51.100.${100 + index} big.example.org`);
const records = [
  '198.51.100.31 updates.example.org',
  '198.51.100.32 sub.updates.example.org',
  '198.51.100.41 a.wild.example.org',
  '198.51.100.42 deep.a.wild.example.org',
  '198.51.100.43 wild.example.org',
  '198.51.100.51 cdn.example.net',
  '198.51.100.61 dual.example.org',
  '2001:db8:c633::61 dual.example.org',
  '10.2.0.1 own.example.org',
  '10.2.0.9 own.example.org',
  ...many,
];

it('opens what it answers, and nothing else', { timeout: 180_000 }, async () => {
  await withHost({ file: file(rules) }, async (bed) => {
    pointResolverOutside('203.0.113.1');
    const before = await bed.snapshot();
    const dns = await outerDns(bed, ['alias.example.org,cdn.example.net']);
    await dns.serve(records, 300);
    await bed.weft('apply', '--yes');
    const { dig, expect } = asks(bed);

    // Another server's answers open nothing: neither those of the network's own one, asked past Weft, nor those that another network's servers give.
    assert.equal(await dig('web', 'updates.example.org', '203.0.113.1'), '198.51.100.31');
    assert.equal(await dig('far', 'updates.example.org', '10.2.0.1'), '198.51.100.31');
    await expect(['web 198.51.100.31 443 closed', 'far 198.51.100.31 8443 open']);

    assert.equal(await dig('web', 'UPDATES.example.org'), '198.51.100.31');
    // What dnsmasq takes for the same domain is not.
    assert.equal(await dig('web', 'sub.updates.example.org'), '198.51.100.32');
    assert.equal(await dig('web', 'wild.example.org'), '198.51.100.43');
    assert.equal(await dig('web', 'a.wild.example.org'), '198.51.100.41');
    assert.equal(await dig('web', 'deep.a.wild.example.org'), '198.51.100.42');
    // Behind an alias; in IPv6; too long for UDP.
    assert.equal(await dig('web', 'alias.example.org'), '198.51.100.51');
    assert.equal(await dig('web', 'dual.example.org', '10.1.0.1', 'AAAA'), '2001:db8:c633::61');
    assert.equal((await dig('web', 'big.example.org')).split(' ').length, many.length);
    // A name cannot open what is the fabric's own.
    assert.equal(await dig('web', 'own.example.org'), '10.2.0.1 10.2.0.9');
    await expect([
      'web 198.51.100.31 443 open',
      'web 198.51.100.31 80 closed',
      'web 198.51.100.31 8443 closed',
      'other 198.51.100.31 443 closed',
      'far 198.51.100.31 443 closed',
      'far 198.51.100.31 8443 open',
      'web 198.51.100.32 443 closed',
      'web 198.51.100.43 80 closed',
      'web 198.51.100.41 80 open',
      'web 198.51.100.42 80 open',
      'web 198.51.100.51 443 open',
      'web 2001:db8:c633::61 443 open',
      'web 198.51.100.61 443 closed',
      'web 198.51.100.219 443 open',
      'web 10.2.0.1 443 closed host',
      'web 10.2.0.9 443 closed far',
    ]);

    // What is open is no drift, and stays over an apply that leaves the name.
    await bed.weft('status');
    assert.match(await bed.weft('apply', '--yes'), /Nothing to change/);
    const held = await bed.hold('web', 'outer', { to: '198.51.100.31', protocol: 'tcp', port: 443, everyMs: 20 });
    bed.writeFile(file([...rules.slice(0, 4), 'other -> updates.example.org tcp/80']));
    await bed.weft('apply', '--yes');
    await expect(['web 198.51.100.31 443 open', 'other 198.51.100.31 80 open', 'far 198.51.100.31 8443 closed']);
    const { echoed } = await held.state();
    await until(async () => (await held.state()).echoed > echoed);

    // A dead relay is seen; the other names go on; what is open stays open.
    process.kill(relayPid(bed), 'SIGKILL');
    const dead = await bed.tryWeft(['status']);
    assert.equal(dead.status, 1);
    assert.match(dead.stdout, /relay/);
    assert.match(await dig('web', 'a.wild.example.org.', '10.1.0.1', 'AAAA', 1), /^(silence|SERVFAIL|REFUSED)$/);
    assert.equal(await dig('web', 'cdn.example.net'), '198.51.100.51');
    await bed.weft('apply', '--yes');
    await bed.weft('status');
    assert.equal(await dig('web', 'a.wild.example.org'), '198.51.100.41');

    // Where somebody empties the tables, what resolvers and guests remember is opened again without a question.
    await bed.host.kernel.run('nft', ['delete', 'table', 'inet', 'weft']);
    await bed.weft('apply', '--yes');
    await expect(['web 198.51.100.31 443 open', 'web 198.51.100.41 80 open']);

    // Over: with the time of the answer and the grace, which the test makes short.
    await dns.serve(['198.51.100.71 soon.example.org'], 2);
    await setGrace(bed, 1);
    await until(async () => (await dig('web', 'soon.example.org')) === '198.51.100.71');
    const outlives = await bed.hold('web', 'outer', { to: '198.51.100.71', protocol: 'tcp', port: 443, everyMs: 20 });
    await until(async () => !(await isOpen(bed, '198.51.100.71')));
    await expect(['web 198.51.100.71 443 closed']);
    // The connection it was opened for goes on, also over a change that takes something else back; asked again, it opens again.
    bed.writeFile(file(rules.slice(0, 4)));
    await bed.weft('apply', '--yes');
    assert.equal(await dig('web', 'soon.example.org'), '198.51.100.71');
    await expect(['web 198.51.100.71 443 open', 'other 198.51.100.31 80 closed']);
    const later = (await outlives.state()).echoed;
    await until(async () => (await outlives.state()).echoed > later);

    // Taken back: the name's connections end, open or outlived.
    bed.writeFile(file(['web -> *.wild.example.org tcp/80']));
    await bed.weft('apply', '--yes');
    for (const flow of [held, outlives]) {
      await sleep(200);
      const last = (await flow.state()).echoed;
      await sleep(1000);
      assert.equal((await flow.state()).echoed, last);
      await flow.release();
    }
    bed.writeFile(file([]));
    await bed.weft('apply', '--yes');
    assert.equal(existsSync(join(bed.directory, 'run/services/relay')), false);
    assert.equal(await dig('web', 'soon.example.org'), '198.51.100.71');
    await expect(['web 198.51.100.71 443 closed']);
    await dns.close();
    await bed.weft('destroy', '--yes');
    assert.deepEqual(differences(before, await bed.snapshot()), []);
    assert.deepEqual(bed.leftovers(), []);
  });
});

const relayDirectory = (bed: HostBed): string => join(bed.directory, 'run/services/relay');
const relayPid = (bed: HostBed): number => Number(readFileSync(join(relayDirectory(bed), 'pid'), 'utf8'));

/** In the configuration that the running relay reads; the next apply takes it back. */
async function setGrace(bed: HostBed, seconds: number): Promise<void> {
  const path = join(relayDirectory(bed), 'relay.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/"graceSeconds": \d+/, `"graceSeconds": ${seconds}`));
  rmSync(`${path}.loaded`);
  process.kill(relayPid(bed), 'SIGHUP');
  await until(() => Promise.resolve(existsSync(`${path}.loaded`)));
}

async function isOpen(bed: HostBed, address: string): Promise<boolean> {
  return (await bed.host.kernel.run('nft', ['list', 'table', 'inet', 'weft'])).includes(`${address} timeout`);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 30_000; !(await condition()); await sleep(100)) assert.ok(performance.now() < end, 'in vain');
}

function asks(bed: HostBed): {
  /** Asks for a name at the network's gateway: the addresses in order, or what was said instead. */
  dig: (from: string, name: string, server?: string, type?: string, seconds?: number) => Promise<string>;
  /** `GUEST ADDRESS PORT open|closed [WHO ANSWERS]`, all at once. */
  expect: (lines: readonly string[]) => Promise<void>;
} {
  return {
    async dig(from, name, server = '10.1.0.1', type = 'A', seconds = 5) {
      const { stdout } = await bed.guest(from).kernel.tryRun('dig', ['+tries=2', `+time=${seconds}`, `@${server}`, name, type]);
      const found = [...stdout.matchAll(/^[^;\s]\S*\s+\d+\s+IN\s+(?:A|AAAA)\s+(\S+)$/gm)].flatMap((match) => match[1] ?? []);
      return found.length > 0 ? found.toSorted((x, y) => x.localeCompare(y)).join(' ') : (/status: (\w+)/.exec(stdout)?.[1] ?? 'silence');
    },
    async expect(lines) {
      const got = lines.map(async (line) => {
        const [from = '', to = '', port, , at] = line.split(' ');
        const { answered } = await bed.probe(from, at ?? 'outer', { to, protocol: 'tcp', port: Number(port) });
        return [from, to, port, answered ? 'open' : 'closed', ...(at === undefined ? [] : [at])].join(' ');
      });
      assert.deepEqual(await Promise.all(got), lines);
    },
  };
}
