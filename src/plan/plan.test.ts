/** What single changes become: the lines that the kernel's own habits ask for, learned from what went wrong without them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stateOf } from '../../test/apply/compiled.ts';
import type { HostState, Link } from '../hoststate/model.ts';
import { emptyState, planChanges } from './plan.ts';
import type { Plan } from './steps.ts';

const file = `
name: demo
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
  lab: { kind: isolated, subnet: 192.168.77.0/24 }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  vm: { network: lab, address: 192.168.77.10, mac: "52:54:00:00:00:01" }
`;
const base = stateOf(file);
const changed = (...replacements: readonly (readonly [string, string])[]): HostState =>
  stateOf(replacements.reduce((text, [from, to]) => text.replaceAll(from, to), file));

const lines = (plan: Plan): string[] => plan.steps.flatMap((step) => (step.kind === 'ip' || step.kind === 'bridge' ? step.lines : []));
const titles = (plan: Plan): string[] => plan.steps.map((step) => step.title.replaceAll(/\d+/g, 'N'));
const withLink = (state: HostState, name: string, change: Partial<Link>): HostState => ({
  ...state,
  links: state.links.map((link) => (link.name === name ? ({ ...link, ...change } as Link) : link)),
});

describe('neighbours', () => {
  it('of a moved subnet: the old ones leave first, the new gateway comes before the old one leaves, all others are given again', () => {
    const all = lines(planChanges(base, changed(['10.0.105', '10.0.106'])));
    const at = (line: string): number => {
      const found = all.findIndex((candidate) => candidate.startsWith(line));
      assert.ok(found >= 0, `${line}\n${all.join('\n')}`);
      return found;
    };
    assert.ok(at('neigh del 10.0.105.10 dev br-internal') < at('addr del 10.0.105.1/24 dev br-internal'));
    assert.ok(at('addr replace 10.0.106.1/24 dev br-internal') < at('addr del 10.0.105.1/24 dev br-internal'));
    // Once more after: as a secondary address of the same subnet it would have left with its primary.
    assert.ok(all.lastIndexOf('addr replace 10.0.106.1/24 dev br-internal') > at('addr del 10.0.105.1/24 dev br-internal'));
    assert.ok(at('neigh replace 10.0.106.10') > at('addr del 10.0.105.1/24 dev br-internal'));
    const kept = base.neighbors.filter((neighbor) => neighbor.link === 'br-internal' && neighbor.address.includes(':'));
    assert.ok(kept.length > 0);
    for (const { address } of kept) assert.ok(at(`neigh replace ${address}`) > at('addr del 10.0.105.1/24 dev br-internal'));
    assert.ok(!all.some((line) => line.includes('br-lab')), 'the other network is left alone');
  });

  it('of a bridge with a new MAC are given again and none is deleted: the kernel has forgotten them', () => {
    const all = lines(planChanges(withLink(base, 'br-lab', { mac: '02:00:00:00:00:99' }), base));
    assert.ok(all.some((line) => line.startsWith('link set dev br-lab address ')));
    assert.ok(all.includes('neigh replace 192.168.77.10 lladdr 52:54:00:00:00:01 dev br-lab nud permanent'));
    assert.ok(!all.some((line) => line.startsWith('neigh del')));
  });

  it('of a bridge that only changes its MTU are left alone, and its MAC is not set', () => {
    const all = lines(planChanges(withLink(base, 'br-lab', { mtu: 1400 }), base));
    assert.deepEqual(all, [
      'link set dev br-lab mtu 1500 group 22359 alias weft:demo:bridge:lab addrgenmode none',
      'link set dev br-lab type bridge stp_state 0 mcast_snooping 0',
      'link set dev br-lab up',
    ]);
  });
});

describe('ports', () => {
  it('a VM’s new MAC and MTU: the port goes down and up, the old entry leaves, the TAP stays', () => {
    const plan = planChanges(base, changed(['00:00:00:01', '00:00:00:02'], ['192.168.77.0/24 }', '192.168.77.0/24, mtu: 1400 }']));
    const all = lines(plan);
    assert.equal(all[0], 'link set dev w-vm down');
    assert.equal(all.at(-1), 'link set dev w-vm up');
    assert.ok(all.includes('fdb del 52:54:00:00:00:01 dev w-vm master'));
    assert.ok(all.includes('fdb replace 52:54:00:00:00:02 dev w-vm master static'));
    assert.ok(!all.some((line) => /^(link del|tuntap)/.test(line)));
  });

  it('a VM that changes its network keeps its TAP; its entry left with the bridge', () => {
    const all = lines(
      planChanges(base, changed(['vm: { network: lab, address: 192.168.77.10', 'vm: { network: internal, address: 10.0.105.20'])),
    );
    assert.ok(all.indexOf('link set dev w-vm down') < all.indexOf('link set dev w-vm master br-internal'));
    assert.ok(all.indexOf('link set dev w-vm type bridge_slave isolated on learning off flood off') < all.indexOf('link set dev w-vm up'));
    assert.ok(!all.some((line) => /^(link del|tuntap|fdb del)/.test(line)));
  });

  it('an owner or a kind cannot be changed: made anew', () => {
    for (const change of ['mac:', 'user: nobody, mac:'] as const) {
      const plan = planChanges(withLink(base, 'w-vm', { owner: 'daemon' }), changed(['mac:', change]));
      assert.deepEqual(plan.makes.links, ['w-vm']);
      assert.ok(lines(plan).indexOf('link del dev w-vm') < lines(plan).findIndex((line) => line.startsWith('tuntap add dev w-vm')));
    }
  });

  it('one that was about to be deleted when its apply was interrupted gets its group back', () => {
    const all = lines(planChanges(withLink(base, 'w-vm', { deviations: ['about to be deleted'] }), base));
    assert.ok(all.some((line) => /^link set dev w-vm .*group 22359/.test(line)));
  });
});

describe('guests', () => {
  it('of another fabric name get the new namespace made and the old one removed', () => {
    const plan = planChanges(base, changed(['name: demo', 'name: other']));
    assert.deepEqual(plan.makes.namespaces, ['other-web']);
    assert.deepEqual(
      plan.steps.flatMap((step) => (step.kind === 'netns-add' || step.kind === 'netns-delete' ? [[step.kind, step.names]] : [])),
      [
        ['netns-add', ['other-web']],
        ['netns-delete', ['demo-web']],
      ],
    );
    const inside = plan.steps.flatMap((step) => (step.kind === 'guests' ? step.guests : []));
    assert.deepEqual(
      inside.map((guest) => guest.before),
      [undefined],
    );
  });

  it('whose port was lost get their inside again', () => {
    const plan = planChanges({ ...base, links: base.links.filter((link) => link.name !== 'w-web') }, base);
    assert.ok(plan.steps.some((step) => step.kind === 'guests'));
  });
});

describe('settings', () => {
  it('of a link that stays are reset; those of the host go back before any rule leaves', () => {
    const plan = planChanges(base, changed([', fd00:105::/64', '']));
    assert.ok(plan.steps.some((step) => step.kind === 'restore-sysctls' && step.keys.includes('net/ipv6/conf/eth0/force_forwarding')));
    assert.ok(
      plan.steps.some(
        (step) => step.kind === 'sysctls' && step.entries.some((e) => e.key === 'net/ipv6/conf/br-internal/forwarding' && e.value === '0'),
      ),
    );
    assert.ok(
      titles(plan).findIndex((title) => title.startsWith('restore')) < titles(plan).findIndex((title) => title.startsWith('firewall')),
    );
  });
});

it('everything comes and goes in this order', () => {
  assert.deepEqual(
    titles(planChanges(emptyState('demo', 'host'), base)).map((title) => title.replace(/firewall: .*/, 'firewall')),
    [
      'make N namespace',
      'make N bridges and N ports',
      'firewall',
      'set N kernel settings',
      'set addresses and put ports on their bridges',
      'pin N MACs to their ports',
      'bring up N ports',
      'set up the inside of N guest',
      'start dnsmasq-internal, dnsmasq-lab',
    ],
  );
  assert.deepEqual(titles(planChanges(base, emptyState('demo', 'host'))), [
    'stop dnsmasq-internal, dnsmasq-lab',
    'take down N links',
    'restore N kernel settings',
    'firewall: tables',
    'remove N namespace',
  ]);
});

describe('domain names', () => {
  const named = (rules: string): HostState => stateOf(`${file}allow: [${rules}]\n`);
  const one = named('"web -> a.example.org"');
  const services = (plan: Plan): string[] => titles(plan).filter((title) => /^(start|reload|stop) /.test(title));

  it('are known to the relay before a resolver asks it', () => {
    assert.deepEqual(services(planChanges(base, one)), ['start relay', 'reload dnsmasq-internal']);
    assert.deepEqual(services(planChanges(one, named('"web -> b.example.org"'))), ['reload relay', 'reload dnsmasq-internal']);
    assert.deepEqual(services(planChanges(one, base)), ['stop relay', 'reload dnsmasq-internal']);
  });

  it('of sets that are made anew are opened again', () => {
    assert.deepEqual(services(planChanges({ ...one, tables: [] }, one)), ['reload relay']);
    assert.deepEqual(services(planChanges(one, named('"web -> a.example.org", "web -> vm"'))), []);
  });

  it('taken back, are looked for among the connections', () => {
    assert.equal(planChanges(one, base).narrowing, true);
  });
});

describe('VLANs', () => {
  const vlan = { kind: 'vlan', name: 'em0.10', alias: 'weft:demo:vlan:em0.10', parent: 'em0', id: 10, mtu: 1400 } as const;
  const bridge = {
    kind: 'bridge',
    name: 'br-cell',
    alias: 'weft:demo:bridge:cell',
    mac: '02:00:00:00:00:09',
    mtu: 1400,
    nfCall: true,
  } as const;
  const empty = emptyState('demo', 'host');
  const stands: HostState = { ...empty, links: [bridge, vlan], enslaved: [{ interface: 'em0.10', bridge: 'br-cell' }] };
  const kinds = (plan: Plan): string[] =>
    plan.steps.flatMap((step) => (step.kind === 'ip' ? step.lines.filter((line) => line.includes('em0')) : [step.kind]));

  it('is made, marked, and joins its bridge, which brings it up', () => {
    const plan = planChanges(empty, stands);
    assert.deepEqual(kinds(plan), [
      'link set dev em0 up',
      'link add link em0 name em0.10 mtu 1400 group 22359 type vlan id 10',
      'link set dev em0.10 alias weft:demo:vlan:em0.10',
      'enslave',
    ]);
    assert.ok(plan.makes.links.includes('em0.10'));
  });

  it('leaves after the host has gone back to it', () => {
    assert.deepEqual(kinds(planChanges(stands, empty)), ['release', 'link del dev em0.10']);
  });

  it('of another number is made anew, between leaving its bridge and joining it', () => {
    const wrong: HostState = { ...stands, links: [bridge, { ...vlan, id: 11 }] };
    assert.deepEqual(kinds(planChanges(wrong, stands)), [
      'release',
      'link del dev em0.10',
      'link set dev em0 up',
      'link add link em0 name em0.10 mtu 1400 group 22359 type vlan id 10',
      'link set dev em0.10 alias weft:demo:vlan:em0.10',
      'enslave',
    ]);
  });

  it('that is only down, unmarked or of another MTU stays', () => {
    const down: HostState = { ...stands, links: [bridge, { ...vlan, mtu: 1300, deviations: ['down'] }] };
    assert.deepEqual(kinds(planChanges(down, stands)), ['link set dev em0.10 mtu 1400 group 22359 alias weft:demo:vlan:em0.10 up']);
  });
});
