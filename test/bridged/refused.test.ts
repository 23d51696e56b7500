/** What stands in the way of a bridged network on a host is told before anything changes, with what to set; once it is set, apply goes on. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { it } from 'node:test';
import { ipBatch } from '../../src/twin/bed.ts';
import { differences } from '../bed/snapshot.ts';
import { HOST, NEIGHBOUR, withLan } from './lan.ts';

const file = (link = 'em0', more = ''): string => `
name: refused
networks: { external: { kind: bridged, interface: ${link}, subnet: 192.168.118.0/24, gateway: 192.168.118.254, range: 192.168.118.220-192.168.118.230${more} } }
guests: { web: external }
`;

it('what stands in the way', { timeout: 120_000 }, async () => {
  await withLan(file(), async (bed) => {
    const { kernel } = bed.host;
    await ipBatch(kernel, [
      'link add name other type bridge',
      'link add dev taken type veth peer name away',
      'link set dev taken master other up',
      'link add dev idle type veth peer name far',
    ]);
    const before = await bed.snapshot();
    const says = async (pattern: RegExp, env: Readonly<Record<string, string>> = {}): Promise<void> => {
      const { status, stderr } = await bed.tryWeft(['apply', '--yes'], { env });
      assert.equal(status, 2, stderr);
      assert.match(stderr, pattern);
      assert.deepEqual(differences(before, await bed.snapshot()), []);
    };
    for (const [link, pattern] of [
      ['nope', /interface-missing: This host has no interface nope/],
      ['nope.10', /interface-missing: .*no interface nope to make that VLAN of/],
      ['lo', /interface-unfit: .*loopback/],
      ['other', /interface-unfit: .*is a bridge already/],
      ['taken', /interface-unfit: .*is a port of other already/],
      ['idle', /interface-unfit: .*is down/],
    ] as const) {
      bed.writeFile(file(link));
      await says(pattern);
    }
    bed.writeFile(file('em0', ', mtu: 9000'));
    await says(/bad-value: .*carries 1500 only/);
    bed.writeFile(file().replace('gateway: 192.168.118.254', `gateway: ${HOST}`));
    await says(new RegExp(`address-taken: The address ${HOST} is the gateway`));
    bed.writeFile(file());

    const [link] = JSON.parse(await kernel.run('ip', ['-j', 'link', 'show', 'dev', 'em0'])) as readonly { readonly ifindex: number }[];
    const networkd = `/run/systemd/netif/links/${link?.ifindex}`;
    mkdirSync('/run/systemd/netif/links', { recursive: true });
    writeFileSync(networkd, 'ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/lan.network\n');
    await says(
      /interface-managed: em0 is set up by systemd-networkd \(\/etc\/systemd\/network\/lan\.network\).*05-weft-em0\.network.*Unmanaged=yes/,
    );
    writeFileSync(networkd, 'ADMIN_STATE=unmanaged\n');
    const manager = `/run/NetworkManager/devices/${link?.ifindex}`;
    mkdirSync('/run/NetworkManager/devices', { recursive: true });
    writeFileSync(manager, '[device]\nmanaged=full\n');
    await says(/interface-managed: em0 is set up by NetworkManager.*unmanaged-devices=interface-name:em0;interface-name:br-external/);
    rmSync(manager);
    const client = await kernel.startDetached('udhcpc', ['-f', '-i', 'em0', '-s', '/bin/true']);
    await says(/interface-managed: em0 gets its address from udhcpc \(pid \d+\).*iface br-external inet dhcp/);
    process.kill(client, 'SIGKILL');

    const rules = (who: string): string =>
      `table inet filter {\nchain input {\ntype filter hook input priority 0; policy drop;\nct state established,related accept\niifname lo accept\niifname ${who} tcp dport 22 accept\n}\n}\n`;
    await kernel.run('nft', ['-f', '-'], { input: rules('em0') });
    const filtered = await bed.snapshot();
    const session = { SSH_CONNECTION: `${NEIGHBOUR} 40000 ${HOST} 22` };
    const { status, stderr } = await bed.tryWeft(['apply', '--yes'], { env: session });
    assert.equal(status, 2, stderr);
    assert.match(
      stderr,
      /foreign-interface: table inet filter, chain input: the rule `iifname "em0" tcp dport 22 accept` names em0.*your ssh session.*`iifname \{ "em0", "br-external" \} tcp dport 22 accept`/,
    );
    assert.deepEqual(differences(filtered, await bed.snapshot()), []);
    await kernel.run('nft', ['delete', 'table', 'inet', 'filter']);
    await kernel.run('nft', ['-f', '-'], { input: rules('{ "em0", "br-external" }') });
    // Everything is set: it goes on, and a session to the host is let in as before.
    for (const family of ['-4', '-6']) await kernel.run('ip', [family, 'rule', 'add', 'pref', '900', 'iif', 'em0', 'lookup', '100']);
    await kernel.run('ip', ['rule', 'add', 'pref', '900', 'iif', 'br-external', 'lookup', '100']);
    const routed = await bed.tryWeft(['apply', '--yes']);
    assert.equal(routed.status, 0, routed.stderr);
    assert.deepEqual(routed.stderr.match(/IPv\d routing rule `.*?` names em0/g), [
      'IPv6 routing rule `900: from all iif em0 lookup 100` names em0',
    ]);
    const probe = { from: bed.neighbour.path, at: bed.host.path, to: HOST, protocol: 'tcp', timeoutMs: 3000 } as const;
    assert.deepEqual(await Promise.all([22, 23].map(async (port) => (await bed.prober.probe({ ...probe, port })).answered)), [true, false]);
    // A second apply has nothing to say of it.
    assert.doesNotMatch((await bed.tryWeft(['apply', '--yes', '--full'])).stderr, /interface/);
  });
});
