/** The text of each format, the facts they are made of held to what Weft sets inside guests itself, and who is refused and why. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import { parse } from 'yaml';
import { compileHost } from '../../src/compile/host.ts';
import { main } from '../../src/cli/program.ts';
import { guestNetwork } from '../../src/export/guest-network.ts';
import { exporters, formats, forVmOnly } from '../../src/export/format.ts';
import { checkFile } from '../../src/fabric/check-file.ts';
import type { Fabric, Guest } from '../../src/fabric/model.ts';
import { openKernel } from '../../src/kernel/open.ts';
import { smallFacts } from '../policy/small-fabric.ts';
import { weft, withFiles } from '../cli/weft.ts';

const file = `name: exported
networks:
  internal: { kind: nat, subnet: [10.0.105.0/25, 'fd00:105::/64'], mtu: 1400 }
  Lab: { kind: isolated, subnet: [10.0.106.0/24, 'fd00:106::/64'] }
  old: { kind: nat, subnet: 10.0.107.0/24, gateway: 10.0.107.254 }
  new: { kind: nat, subnet: 'fd00:108::/64' }
guests:
  vm:
    nics:
      - { network: internal, address: [10.0.105.20, 'fd00:105::20'], mac: 52:54:00:12:34:56 }
      - { network: Lab, address: [10.0.106.20, 'fd00:106::20'], mac: 52:54:00:12:34:57 }
  box: { network: internal, kind: container }
  second: { nics: [{ network: internal }, { network: Lab, default: true, dns: [1.1.1.1, 9.9.9.9, 8.8.8.8, 8.8.4.4] }] }
  four: old
  six: new
  mixed: { nics: [{ network: old }, { network: new }, { network: Lab }] }
  made: { network: internal, kind: namespace }
  offline: { network: none }
  jail: { inside: vm, network: internal, address: 10.0.105.55 }
`;

function fabricOf(directory: string): Fabric {
  const { fabric } = checkFile(join(directory, 'weft.yaml'));
  assert.ok(fabric);
  return fabric;
}

const texts: Readonly<Record<string, string>> = {
  libvirt: `<!-- vm: eth0 in internal -->
<interface type='ethernet'>
  <mac address='52:54:00:12:34:56'/>
  <target dev='w-vm' managed='no'/>
  <model type='virtio'/>
  <mtu size='1400'/>
</interface>

<!-- vm: eth1 in Lab -->
<interface type='ethernet'>
  <mac address='52:54:00:12:34:57'/>
  <target dev='w-vm_1' managed='no'/>
  <model type='virtio'/>
  <mtu size='1500'/>
</interface>
`,
  ifupdown: `# vm: /etc/network/interfaces
# On a system without resolvconf, /etc/resolv.conf has to say:
#   search internal.weft.internal weft.internal
#   nameserver 10.0.105.1
#   nameserver fd00:105::1

auto lo
iface lo inet loopback

# in internal: the interface with MAC 52:54:00:12:34:56. Where it has another name, write that one, or remove the # from the next line.
#rename mac/52:54:00:12:34:56=eth0
auto eth0
iface eth0 inet static
    address 10.0.105.20/25
    gateway 10.0.105.1
    mtu 1400
    dns-nameservers 10.0.105.1 fd00:105::1
    dns-search internal.weft.internal weft.internal
iface eth0 inet6 static
    address fd00:105::20/128
    accept_ra 0
    autoconf 0
    gateway fe80::1

# in Lab: the interface with MAC 52:54:00:12:34:57. Where it has another name, write that one, or remove the # from the next line.
#rename mac/52:54:00:12:34:57=eth1
auto eth1
iface eth1 inet static
    address 10.0.106.20/24
    mtu 1500
iface eth1 inet6 static
    address fd00:106::20/128
    accept_ra 0
    autoconf 0
    up ip route replace fd00:106::/64 via fe80::1 dev eth1
`,
  networkd: `# vm: /etc/systemd/network/10-weft-eth0.network, in internal
[Match]
MACAddress=52:54:00:12:34:56
Type=ether

[Link]
MTUBytes=1400

[Network]
DHCP=no
IPv6AcceptRA=no
Address=10.0.105.20/25
Address=fd00:105::20/128
DNS=10.0.105.1
DNS=fd00:105::1
Domains=internal.weft.internal weft.internal

[Route]
Destination=0.0.0.0/0
Gateway=10.0.105.1

[Route]
Destination=::/0
Gateway=fe80::1
GatewayOnLink=yes

# vm: /etc/systemd/network/10-weft-eth1.network, in Lab
[Match]
MACAddress=52:54:00:12:34:57
Type=ether

[Link]
MTUBytes=1500

[Network]
DHCP=no
IPv6AcceptRA=no
Address=10.0.106.20/24
Address=fd00:106::20/128

[Route]
Destination=fd00:106::/64
Gateway=fe80::1
GatewayOnLink=yes
`,
  qemu: `-netdev tap,id=net0,ifname=w-vm,script=no,downscript=no -device virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56,host_mtu=1400
-netdev tap,id=net1,ifname=w-vm_1,script=no,downscript=no -device virtio-net-pci,netdev=net1,mac=52:54:00:12:34:57
`,
};

for (const [format, text] of Object.entries(texts))
  test(`${format} as text`, () =>
    withFiles({ 'weft.yaml': file }, async (cwd) => {
      const { status, out } = await weft(['export', format, 'VM'], { cwd });
      assert.equal(out, text);
      assert.equal(status, 0);
    }));

test('cloud-init as what YAML 1.1 makes of it, where 52:54:00:12:34:56 is a number', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { out } = await weft(['export', 'cloud-init', 'vm'], { cwd });
    const common = { mtu: 1400, dhcp4: false, dhcp6: false, 'accept-ra': false };
    assert.deepEqual(parse(out, { version: '1.1' }), {
      version: 2,
      ethernets: {
        eth0: {
          match: { macaddress: '52:54:00:12:34:56' },
          'set-name': 'eth0',
          ...common,
          addresses: ['10.0.105.20/25', 'fd00:105::20/128'],
          gateway4: '10.0.105.1',
          gateway6: 'fe80::1',
          nameservers: { search: ['internal.weft.internal', 'weft.internal'], addresses: ['10.0.105.1', 'fd00:105::1'] },
        },
        eth1: {
          match: { macaddress: '52:54:00:12:34:57' },
          'set-name': 'eth1',
          ...common,
          mtu: 1500,
          addresses: ['10.0.106.20/24', 'fd00:106::20/128'],
          routes: [{ to: 'fd00:106::/64', via: 'fe80::1', 'on-link': true }],
        },
      },
    });
  }));

test('the libvirt elements fit the schema of a domain', () =>
  withFiles({ 'weft.yaml': file.replace('  six: new', '  a--b: new') }, async (cwd) => {
    for (const guest of ['vm', 'a--b']) {
      const { out } = await weft(['export', 'libvirt', guest], { cwd });
      const domain = `<domain type='kvm'><name>x</name><memory>1</memory><os><type>hvm</type></os><devices>${out}</devices></domain>`;
      await withFiles({ 'domain.xml': domain }, (at) => openKernel().run('virt-xml-validate', [join(at, 'domain.xml'), 'domain']));
    }
  }));

test('the facts are those Weft sets itself in guests of kind namespace', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const fabric = fabricOf(cwd);
    const outer = fabric.guests.filter(({ inside, nics }) => inside === undefined && nics.length > 0);
    const asNamespace = (guest: Guest): Guest => ({ ...guest, kind: 'namespace', namespace: `exported-${guest.name}` });
    const state = compileHost({ ...fabric, guests: outer.map(asNamespace) }, 'host', smallFacts, { services: () => [] });
    assert.ok(outer.length >= 7);
    for (const guest of outer) {
      const side = state.guests.find((one) => one.guest === guest.name);
      const { nics, resolver } = guestNetwork(fabric, guest);
      assert.deepEqual(
        nics.map(({ name, port, mac, mtu, addresses, routes }) => ({ name, port, mac, mtu, addresses, routes })),
        side?.interfaces,
        guest.name,
      );
      const lines = [`search ${resolver.domains.join(' ')}`, ...resolver.servers.slice(0, 3).map((server) => `nameserver ${server}`), ''];
      assert.equal(lines.join('\n'), side?.resolvConf, guest.name);
    }
  }));

test('each format speaks of the same addresses, next hops and MACs, and of no others', () =>
  withFiles({ 'weft.yaml': file }, (cwd) => {
    const fabric = fabricOf(cwd);
    for (const name of ['second', 'four', 'six', 'mixed']) {
      const guest = fabric.guests.find((one) => one.name === name);
      assert.ok(guest);
      const network = guestNetwork(fabric, guest);
      for (const format of formats.filter((one) => !forVmOnly.has(one))) {
        const text = exporters[format](network)
          .map(({ content }) => content)
          .join('\n');
        const routes = network.nics.flatMap((nic) => nic.routes);
        for (const wanted of [
          ...network.nics.flatMap(({ mac, mtu, addresses }) => [mac, String(mtu), ...addresses]),
          ...routes.flatMap(({ via }) => via ?? []),
          ...network.resolver.servers,
          network.resolver.domains.join(format === 'cloud-init' ? "'\n        - '" : ' '),
        ])
          assert.ok(text.includes(wanted), `${format} ${name}: ${wanted}\n${text}`);
        const defaults = text.match(/gateway[46]?:? .*|Destination=(::|0\.0\.0\.0)\/0/g) ?? [];
        assert.equal(defaults.length, routes.filter(({ prefix }) => prefix.endsWith('/0')).length, `${format} ${name}\n${text}`);
      }
    }
    return Promise.resolve();
  }));

test('--json has the files, --directory writes them', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { out } = await weft(['export', 'networkd', 'vm', '--json'], { cwd });
    const document: { format: string; guest: string; files: { name: string; content: string }[] } = JSON.parse(out);
    assert.deepEqual([document.format, document.guest], ['networkd', 'vm']);
    assert.equal(document.files.map(({ content }) => content).join('\n'), texts['networkd']);
    const wrote = await weft(['export', 'networkd', 'vm', '--directory', 'a/b'], { cwd });
    assert.equal(wrote.out, 'Wrote a/b/10-weft-eth0.network, a/b/10-weft-eth1.network.\n');
    for (const { name, content } of document.files) assert.equal(readFileSync(join(cwd, 'a/b', name), 'utf8'), content);
    await weft(['export', 'cloud-init', 'vm', '--directory', 'seed'], { cwd });
    assert.deepEqual(readdirSync(join(cwd, 'seed')).sort(), ['meta-data', 'network-config', 'user-data']);
  }));

test('says when the addresses are not in the lock yet, and not when they are', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    assert.match((await weft(['export', 'qemu', 'vm'], { cwd })).err, /^vm is not in weft\.lock as it is now: .*may still change\.\n$/);
    const added = await weft(['guest', 'add', 'more', '--network', 'old'], { cwd });
    assert.equal(added.status, 0, added.err);
    assert.equal((await weft(['export', 'qemu', 'vm'], { cwd })).err, '');
  }));

test('a seed image is what NoCloud looks for, with the user data given', () =>
  withFiles({ 'weft.yaml': file, 'mine.yaml': '#cloud-config\nssh_authorized_keys: [x]\n' }, async (cwd) => {
    const kernel = openKernel();
    const image = join(cwd, 'vm.iso');
    const { status, out, err } = await weft(['export', 'cloud-init', 'vm', '--seed', 'vm.iso', '--user-data', 'mine.yaml', '--json'], {
      cwd,
    });
    assert.equal(status, 0, err);
    const { files }: { files: { name: string; content: string }[] } = JSON.parse(out);
    assert.match(await kernel.run('isoinfo', ['-d', '-i', image]), /^Volume id: cidata$/m);
    const listed = await kernel.run('isoinfo', ['-R', '-f', '-i', image]);
    assert.deepEqual(listed.trim().split('\n').sort(), ['/meta-data', '/network-config', '/user-data']);
    const read = async (name: string, names = '-R'): Promise<string> => kernel.run('isoinfo', [names, '-x', `/${name}`, '-i', image]);
    for (const { name, content } of files) assert.equal(await read(name), content);
    assert.equal(await read('user-data', '-J'), '#cloud-config\nssh_authorized_keys: [x]\n');
    assert.deepEqual(parse(await read('meta-data')), { 'instance-id': 'exported-vm', 'local-hostname': 'vm' });
    assert.equal(await read('network-config'), (await weft(['export', 'cloud-init', 'vm'], { cwd })).out);
    // Again, over the old one, and nothing but the image is left.
    assert.equal((await weft(['export', 'cloud-init', 'vm', '--seed', 'vm.iso'], { cwd })).out, 'Wrote vm.iso.\n');
    assert.equal(await read('user-data'), '#cloud-config\n');
    assert.deepEqual(readdirSync(cwd).sort(), ['mine.yaml', 'vm.iso', 'weft.yaml']);
  }));

const refusals: readonly { args: readonly string[]; says: RegExp }[] = [
  { args: ['qem', 'vm'], says: /^error usage: `qem` is no format that guests are exported to; did you mean `qemu`\?\n$/ },
  {
    args: ['netplan', 'vm'],
    says: /^error usage: `netplan` is no format .*only `cloud-init`, `libvirt`, `ifupdown`, `networkd` and `qemu`\.\n$/,
  },
  { args: ['qemu', 'vmm'], says: /^error unknown-guest: .*weft\.yaml has no guest `vmm`; did you mean `vm`\?\n$/ },
  { args: ['qemu', 'offline'], says: /^error not-exportable: `offline` has `network: none`/ },
  {
    args: ['networkd', 'jail'],
    says: /^error not-exportable: `jail` lies inside `vm` and has no network card of its own: export vm, and give `jail` its address 10\.0\.105\.55/,
  },
  { args: ['networkd', 'made'], says: /^error not-exportable: `made` is a namespace: Weft makes it and sets its addresses/ },
  { args: ['qemu', 'box'], says: /^error not-exportable: `box` is a container, and qemu takes the TAP .*`weft attach box`\n$/ },
  { args: ['libvirt', 'box'], says: /^error not-exportable: / },
  { args: ['qemu', 'vm', '--seed', 'x'], says: /^error usage: --seed is for `weft export cloud-init`/ },
  { args: ['qemu', 'vm', '--directory', 'x', '--user-data', 'x'], says: /^error usage: --user-data is for `weft export cloud-init`/ },
  { args: ['cloud-init', 'vm', '--user-data', 'x'], says: /^error usage: --user-data is one of the files of a seed/ },
  { args: ['cloud-init', 'vm', '--seed', 'x', '--directory', 'x'], says: /^error usage: --seed and --directory/ },
  { args: ['cloud-init', 'vm', '--seed', 'x', '--user-data', 'none'], says: /^error file-unreadable: none cannot be read \(ENOENT\)/m },
  { args: ['cloud-init', 'vm', '--seed', 'none/x'], says: /error file-unreadable: none\/x cannot be written \(ENOENT\)/ },
  { args: ['networkd', 'vm', '--directory', 'weft.yaml/x'], says: /error file-unreadable: weft\.yaml\/x cannot be written \(ENOTDIR\)/ },
  { args: ['qemu', 'vm', '--host', 'elsewhere'], says: /^error unknown-host: / },
];
describe('refusals', () => {
  for (const { args, says } of refusals)
    test(args.join(' '), () =>
      withFiles({ 'weft.yaml': file }, async (cwd) => {
        let out = '';
        let err = '';
        const status = await main(['export', ...args, '-f', join(cwd, 'weft.yaml')], {
          out: (text) => void (out += text),
          err: (text) => void (err += text),
          env: {},
          cwd,
          color: { out: false, err: false },
          interactive: false,
          columns: undefined,
        });
        assert.equal(out, '');
        assert.match(err, says);
        assert.equal(status, 2);
        assert.deepEqual(readdirSync(cwd), ['weft.yaml']);
      }),
    );

  test('without genisoimage: its package', () =>
    withFiles({ 'weft.yaml': file }, async (cwd) => {
      // The search for programs looks into the usual directories too, so their answer is taken away.
      const script = `import fs from 'node:fs'; import { syncBuiltinESMExports } from 'node:module'; const real = fs.accessSync;
        fs.accessSync = (path, mode) => { if (String(path).endsWith('/genisoimage')) throw new Error('ENOENT'); return real(path, mode); }; syncBuiltinESMExports();`;
      const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(script)}`;
      const { status, err } = await weft(['export', 'cloud-init', 'vm', '--seed', 'x.iso'], { cwd, env: { NODE_OPTIONS } });
      assert.equal(status, 2);
      assert.match(err, /error program-missing: genisoimage, .*apt install genisoimage; or write the files with --directory DIR/);
      assert.deepEqual(readdirSync(cwd), ['weft.yaml']);
    }));
});
