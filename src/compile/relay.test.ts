/** Which questions go to the relay, from which network, to whom it passes them on, and what they open. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fabricOf, facts } from '../../test/apply/compiled.ts';
import type { RelayConfig } from '../hoststate/model.ts';
import { compileHost } from './host.ts';

function compiled(
  rules: readonly string[],
  dns = '',
): { readonly config: RelayConfig | undefined; readonly lines: Record<string, string[]>; readonly sets: string[] } {
  const { fabric, host } = fabricOf(`
name: demo
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64]${dns} }
  b: { kind: nat, subnet: 10.2.0.0/24 }
  lab: { kind: isolated, subnet: 10.3.0.0/24 }
guests:
  web: a
  far: b
  both: { nics: [{ network: b }, { network: a }] }
  shut: { nics: [{ network: lab }, { network: a }] }
allow: [${rules.map((rule) => `"${rule}"`).join(', ')}]
`);
  const state = compileHost(fabric, host, facts);
  const relay = state.services.find((service) => service.kind === 'relay');
  const lines: Record<string, string[]> = {};
  for (const service of state.services) {
    if (service.kind !== 'dnsmasq') continue;
    const own = (service.files['dns-servers'] ?? '').split('\n').filter((line) => line.includes('#'));
    if (own.length > 0) lines[service.network] = own.map((line) => line.replace(/127\.87\.\d+\.\d+#53054$/, 'relay'));
  }
  const sets = state.tables.flatMap((table) => table.sets).filter((set) => set.flags.includes('timeout'));
  return { config: relay?.config, lines, sets: sets.map((set) => set.name) };
}

describe('the relay', () => {
  it('is there only for names', () => {
    assert.deepEqual(compiled(['web -> far']), { config: undefined, lines: {}, sets: [] });
  });

  it('is asked on the networks of the guests that a rule speaks of, for those names', () => {
    const { config, lines, sets } = compiled(['web -> a.example.org', 'web -> *.example.net', 'far -> b.example.org']);
    assert.deepEqual(lines, {
      a: ['server=/a.example.org/relay', 'server=/example.net/relay'],
      b: ['server=/b.example.org/relay'],
    });
    assert.equal(config?.listeners.length, 1, 'both networks ask the host’s own servers');
    assert.deepEqual(config?.listeners[0]?.upstream, {
      kind: 'follow',
      file: '/etc/resolv.conf',
      except: ['10.1.0.1', '10.2.0.1', '10.3.0.1', 'fd00:1::1'],
    });
    const domains = config?.listeners[0]?.domains ?? [];
    assert.deepEqual(
      domains.map(({ pattern, set4, set6 }) => [pattern, set4 !== undefined, set6 !== undefined]),
      [
        ['*.example.net', true, true],
        ['a.example.org', true, true],
        ['b.example.org', true, false],
      ],
    );
    assert.deepEqual(domains.flatMap(({ set4, set6 }) => [set4, set6].filter((set) => set !== undefined)).sort(), sets);
  });

  it('keeps apart what other servers answer', () => {
    const { config, sets } = compiled(['web, far -> a.example.org tcp/443'], ', dns: [9.9.9.9, 10.1.0.1]');
    assert.deepEqual(config?.listeners.map(({ upstream }) => (upstream.kind === 'servers' ? upstream.servers : upstream.kind)).sort(), [
      ['9.9.9.9'],
      'follow',
    ]);
    const used = config?.listeners.map(({ domains }) => domains.map(({ set4 }) => set4));
    assert.notDeepEqual(used?.[0], used?.[1]);
    assert.equal(sets.length, 3, 'far has no IPv6');
  });

  it('hears a guest of several networks by the servers that its first one asks', () => {
    const same = compiled(['both -> a.example.org']);
    assert.deepEqual(same.lines, { a: ['server=/a.example.org/relay'], b: ['server=/a.example.org/relay'] });
    const apart = compiled(['both -> a.example.org'], ', dns: 9.9.9.9');
    assert.deepEqual(apart.lines, { b: ['server=/a.example.org/relay'] });
    const shut = compiled(['shut -> a.example.org']);
    assert.deepEqual([shut.lines, shut.config], [{}, undefined]);
  });

  it('does not move when other networks and names come', () => {
    const address = (rules: readonly string[]): string | undefined => compiled(rules).config?.listeners[0]?.address;
    assert.equal(address(['web -> a.example.org']), address(['far -> b.example.org', 'web -> a.example.org']));
    assert.match(address(['web -> a.example.org']) ?? '', /^127\.87\.\d+\.[1-9]\d*$/);
  });
});
