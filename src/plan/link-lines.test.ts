/** The lines for `ip` and `bridge`, and what is taken away inside a guest: Weft's own, and nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GuestSide, PortLink } from '../hoststate/model.ts';
import { addressLine, createPort, deleteLinks, enslavePort, fdbLine, guestLines, neighborLine, routeLine } from './link-lines.ts';

const side = (parts: Partial<GuestSide['interfaces'][number]> = {}): GuestSide => ({
  guest: 'web',
  netns: { kind: 'made', namespace: 'demo-web' },
  sysctls: [],
  interfaces: [
    {
      name: 'eth0',
      port: 'w-web',
      mac: '52:54:00:00:00:01',
      mtu: 1500,
      addresses: ['10.0.0.2/24', 'fd00::2/128'],
      routes: [{ prefix: '0.0.0.0/0', via: '10.0.0.1' }],
      ...parts,
    },
  ],
});

describe('the inside of a guest', () => {
  it('new: everything is set, nothing taken away', () => {
    assert.deepEqual(guestLines(undefined, side()), {
      leave: [],
      set: [
        'link set dev lo up',
        'link set dev eth0 mtu 1500 up',
        'addr replace 10.0.0.2/24 dev eth0',
        'addr replace fd00::2/128 dev eth0 nodad',
        'route replace 0.0.0.0/0 via 10.0.0.1 dev eth0',
      ],
    });
  });

  it('changed: exactly what is not wanted any more leaves, routes before addresses', () => {
    const after = side({ addresses: ['10.0.0.3/24', 'fd00::2/128'], routes: [] });
    assert.deepEqual(guestLines(side(), after).leave, ['route del 0.0.0.0/0 via 10.0.0.1 dev eth0', 'addr del 10.0.0.2/24 dev eth0']);
  });

  it('behind another port: what the old one had is gone with it', () => {
    assert.deepEqual(guestLines(side(), side({ port: 'w-other', addresses: ['10.0.0.3/24'] })).leave, []);
  });
});

describe('ports', () => {
  const tap: PortLink = { kind: 'tap', name: 'w-vm', alias: 'weft:demo:port:vm.lab', bridge: 'br-lab', mtu: 1500 };
  const veth: PortLink = { ...tap, kind: 'veth', name: 'w-web', peer: { guest: 'web', interface: 'eth0' } };

  it('are made down, with their tag, on no bridge', () => {
    assert.deepEqual(createPort(tap, undefined), [
      'tuntap add dev w-vm mode tap',
      'link set dev w-vm group 22359 alias weft:demo:port:vm.lab mtu 1500 addrgenmode none',
    ]);
    assert.equal(createPort({ ...tap, owner: 'alice' }, undefined)[0], 'tuntap add dev w-vm mode tap user alice');
    assert.equal(
      createPort(veth, side())[0],
      'link add name w-web mtu 1500 type veth peer name eth0 address 52:54:00:00:00:01 mtu 1500 netns demo-web',
    );
    assert.match(
      createPort(veth, { ...side(), netns: { kind: 'attached', path: '/proc/7/ns/net' } })[0] ?? '',
      / netns \/proc\/7\/ns\/net$/,
    );
    assert.throws(() => createPort(veth, undefined), /w-web has no inside/);
    assert.deepEqual(enslavePort(tap), [
      'link set dev w-vm master br-lab',
      'link set dev w-vm type bridge_slave isolated on learning off flood off',
    ]);
  });

  it('leave one by one when few, together when many', () => {
    assert.deepEqual(deleteLinks(['a', 'b', 'c']), ['link del dev a', 'link del dev b', 'link del dev c']);
    assert.deepEqual(deleteLinks(['a', 'b', 'c', 'd']), [
      ...['a', 'b', 'c', 'd'].map((name) => `link set dev ${name} group 22360`),
      'link del group 22360',
    ]);
    assert.deepEqual(deleteLinks([]), []);
  });
});

it('addresses, routes, neighbours and forwarding entries', () => {
  assert.equal(addressLine('replace', { link: 'br-x', address: 'fd00::1/64' }), 'addr replace fd00::1/64 dev br-x nodad');
  assert.equal(addressLine('del', { link: 'br-x', address: 'fd00::1/64' }), 'addr del fd00::1/64 dev br-x');
  assert.equal(addressLine('replace', { link: 'br-x', address: '10.0.0.1/24' }), 'addr replace 10.0.0.1/24 dev br-x');
  assert.equal(
    routeLine('replace', { prefix: '10.1.0.0/16', link: 'br-x', via: '10.0.0.9', metric: 7 }),
    'route replace 10.1.0.0/16 via 10.0.0.9 dev br-x metric 7 proto 87',
  );
  assert.equal(
    neighborLine('replace', { link: 'br-x', address: '10.0.0.2', mac: 'aa' }),
    'neigh replace 10.0.0.2 lladdr aa dev br-x nud permanent',
  );
  assert.equal(fdbLine('del', { port: 'w-x', mac: 'aa' }), 'fdb del aa dev w-x master');
});
