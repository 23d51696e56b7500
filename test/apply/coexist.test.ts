/**
 * Beside others: foreign tables are never touched, a foreign drop is warned of by name before it bites, what was flushed is mended,
 * what is somebody else's is not taken over, and destroy leaves the host as it was.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withHost, type HostBed } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const file = (name: string): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
  lab: { kind: isolated, subnet: 192.168.77.0/24 }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  db: { network: internal, kind: namespace, address: 10.0.105.20 }
  vault: { network: lab, kind: namespace }
  vm: lab
allow:
  - web -> db tcp/5432
  - internet -> db tcp/80
`;

/** In the structure Docker, ufw, firewalld and libvirt make. */
const foreign = `
add table ip filter
add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
add chain ip filter DOCKER-USER
add rule ip filter DOCKER-USER return
add rule ip filter FORWARD jump DOCKER-USER
add rule ip filter FORWARD oifname "docker0" ct state related,established accept
add rule ip filter FORWARD iifname "docker0" accept
add table ip nat
add chain ip nat POSTROUTING { type nat hook postrouting priority 100; policy accept; }
add rule ip nat POSTROUTING ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
add table inet firewalld
add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }
add rule inet firewalld filter_FORWARD ct state { established, related } accept
add rule inet firewalld filter_FORWARD iifname "lo" accept
add rule inet firewalld filter_FORWARD ct state invalid drop
add table ip6 filter
add chain ip6 filter ufw6-before-forward
add chain ip6 filter FORWARD { type filter hook forward priority 0; policy accept; }
add rule ip6 filter FORWARD jump ufw6-before-forward
add rule ip6 filter ufw6-before-forward icmpv6 type echo-request accept
`;

const load = (bed: HostBed, text: string): Promise<string> => bed.host.kernel.run('nft', ['-f', '-'], { input: text });

async function foreignRules(bed: HostBed): Promise<string> {
  const tables = ['ip filter', 'ip nat', 'inet firewalld', 'ip6 filter'];
  return (await Promise.all(tables.map((table) => bed.host.kernel.run('nft', ['-s', 'list', 'table', ...table.split(' ')])))).join('\n');
}

const open = async (bed: HostBed): Promise<boolean> =>
  (await bed.probe('web', 'db', { to: '10.0.105.20', protocol: 'tcp', port: 5432, timeoutMs: 500 })).answered;

describe('beside other tables', { concurrency: true }, () => {
  it('warns of the foreign chain that will drop, touches none, and leaves everything as it was', { timeout: 180_000 }, async () => {
    await withHost({ file: file('beside') }, async (bed) => {
      await load(bed, foreign);
      const before = await bed.snapshot();
      const rules = await foreignRules(bed);
      const planned = await bed.tryWeft(['plan']);
      assert.equal(planned.status, 0, planned.stderr);
      assert.match(
        planned.stderr,
        /warning foreign-drop: table ip filter, chain FORWARD: its policy drop drops .*, which the file allows; .* br-internal, br-lab/,
      );
      assert.doesNotMatch(planned.stderr, /firewalld|ip6 filter/);
      assert.deepEqual(differences(before, await bed.snapshot()), [], 'plan changed something');
      await bed.weft('apply', '--yes');
      // The warning was right: and when the owner of the table lets Weft's bridges pass, it is gone.
      assert.equal(await open(bed), false);
      await load(bed, 'insert rule ip filter DOCKER-USER iifname "br-*" accept\ninsert rule ip filter DOCKER-USER oifname "br-*" accept\n');
      assert.equal(await open(bed), true);
      assert.doesNotMatch((await bed.tryWeft(['plan'])).stderr, /foreign-drop/);
      await load(bed, `flush chain ip filter DOCKER-USER\nadd rule ip filter DOCKER-USER return\n`);
      assert.equal(await foreignRules(bed), rules);
      await bed.weft('destroy', '--yes');
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      assert.deepEqual(
        bed.leftovers().filter((line) => !/etc\/netns\/(?!beside)/.test(line)),
        [],
      );
    });
  });

  it('mends what another tool has flushed; status says what is missing', { timeout: 180_000 }, async () => {
    await withHost({ file: file('flushed') }, async (bed) => {
      await bed.weft('apply', '--yes');
      assert.equal(await open(bed), true);
      const good = await bed.snapshot();
      for (const [break_, missing] of [
        ['nft flush ruleset', /table inet weft is missing: none of its rules hold/],
        ['ip link del dev w-db', /port w-db is missing/],
        ['ip link del dev br-lab', /bridge br-lab is missing/],
        ['bridge link set dev w-db isolated off', /port w-db is not isolated/],
        ['ip addr flush dev br-internal', /address 10\.0\.105\.1\/24 is missing on br-internal/],
        ['sysctl -qw net.ipv4.ip_forward=0', /setting net\.ipv4\.ip_forward is 0 instead of 1/],
        ['ip neigh flush nud permanent dev br-internal', /neighbour entry of 10\.0\.105\.20 on br-internal is missing/],
        [
          'nft delete element netdev weft port_mac { \\"w-db\\" . $(nft list set netdev weft port_mac | grep -o \'"w-db" . [0-9a-f:]*\' | cut -d" " -f3) }',
          /set port_mac of netdev weft lacks w-db \. /,
        ],
        ['nft add rule inet weft forward accept', /chain forward of inet weft has the rule `accept` more/],
        [`kill -9 $(cat ${bed.directory}/run/services/dnsmasq-internal/pid)`, /dnsmasq-internal does not run/],
        [
          'ip -n flushed-web addr flush dev eth0; ip -n flushed-db route del default; echo nameserver 192.0.2.1 > /etc/netns/flushed-db/resolv.conf',
          /inside guest db: eth0 lacks the route 0\.0\.0\.0\/0; its resolv\.conf was changed\n.*inside guest web: eth0 lacks 10\.0\.105\.\d+\/24/,
        ],
        ['ip -n flushed-web link set dev eth0 down name mine', /port w-web has lost its other end, eth0 in guest web/],
        ['ip link set dev w-db nomaster', /port w-db is on no bridge instead of br-internal/],
        ['ip netns del flushed-web', /namespace flushed-web of guest web is missing/],
      ] as const) {
        await bed.host.kernel.run('sh', ['-c', break_]);
        const status = await bed.tryWeft(['status']);
        assert.equal(status.status, 1, `${break_}: ${status.stdout}`);
        assert.match(status.stdout, missing, break_);
        // Flags of ports and insides of guests are not among what a plain apply looks at, unless `status` has found something.
        await bed.weft('apply', '--yes');
        assert.equal((await bed.tryWeft(['status'])).status, 0, break_);
        // By a shell in the namespace of that name: the prober's agent may still sit in a deleted one.
        const dial = await bed.guest('web').kernel.tryRun('timeout', ['2', 'bash', '-c', 'exec 3<>/dev/tcp/10.0.105.20/5432']);
        assert.equal(dial.status, 0, break_);
        // Links that were made anew have other indexes and MACs of their own; rules, settings and addresses are as before.
        const differing = differences(good, await bed.snapshot()).filter(
          (line) => !/^[+-] (links|bridge|routes):|w-db|w-web|br-lab|w-v/.test(line),
        );
        assert.deepEqual(differing, [], break_);
      }
    });
  });

  it('takes over no interface, namespace or subnet that is somebody else’s', { timeout: 180_000 }, async () => {
    await withHost({ file: file('taken') }, async (bed) => {
      const refused = async (prepare: string, message: RegExp, undo: string): Promise<void> => {
        await bed.host.kernel.run('sh', ['-c', prepare]);
        const before = await bed.snapshot();
        const { status, stderr } = await bed.tryWeft(['apply', '--yes']);
        assert.equal(status, 2, stderr);
        assert.match(stderr, message);
        assert.deepEqual(differences(before, await bed.snapshot()), []);
        await bed.host.kernel.run('sh', ['-c', undo]);
      };
      await refused(
        'ip link add dev w-db type bridge',
        /name-in-use: this host already has an interface called w-db/,
        'ip link del dev w-db',
      );
      await refused(
        'ip netns add taken-web',
        /name-in-use: this host already has a network namespace called taken-web/,
        'ip netns del taken-web',
      );
      await refused(
        'ip link add dev other type bridge; ip link set dev other addrgenmode none; ip addr add 10.0.105.77/25 dev other; ip link set dev other up',
        /subnet-in-use: /,
        'ip link del dev other',
      );
      await refused('ip route add 192.168.77.0/26 via 203.0.113.1', /subnet-in-use: /, 'ip route del 192.168.77.0/26');
      bed.writeFile(file('taken').replace('vm: lab', 'vm: { network: lab, user: nobody-of-this-name }'));
      await refused('true', /user-unknown: this host has no user called nobody-of-this-name/, 'true');
    });
  });
});
