/**
 * The smallest Linux that a test VM needs, packed on the fly: Debian's static busybox, the virtio network modules of an installed
 * kernel, and an /init that gets a lease for each NIC and then runs the commands it is sent over the second serial port.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { openKernel } from '../../src/kernel/open.ts';

export interface BootFiles {
  /** Path of the kernel image. */
  readonly kernel: string;
  /** A cpio archive, "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst), not compressed. */
  readonly initramfs: Buffer;
}

/**
 * `dhcpv6` adds dhclient(8), since busybox has no DHCPv6 client. Throws when no kernel with modules or no static busybox (or no dhclient) is
 * installed (Debian: linux-image-cloud-amd64, busybox-static, isc-dhcp-client).
 */
export async function bootFiles(dhcpv6: boolean): Promise<BootFiles> {
  const release = readdirSync('/boot')
    .filter((name) => name.startsWith('vmlinuz-'))
    .map((name) => name.slice('vmlinuz-'.length))
    .find((name) => existsSync(`/lib/modules/${name}/modules.dep`));
  if (release === undefined) throw new Error('No kernel with modules is installed: apt install linux-image-cloud-amd64');
  if (!existsSync('/bin/busybox')) throw new Error('No busybox is installed: apt install busybox-static');
  const modules = modulesWithDependencies(release, ['virtio_pci', 'virtio_net']);
  const client = dhcpv6 ? await dhclientEntries() : [];
  const entries: Entry[] = [
    ...['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'lib'].map((path) => ({ path, mode: 0o40755, content: Buffer.alloc(0) })),
    { path: 'bin/busybox', mode: 0o100755, content: readFileSync('/bin/busybox') },
    {
      path: 'init',
      mode: 0o100755,
      content: Buffer.from(
        init(
          modules.map((_, index) => `/lib/${index}.ko`),
          dhcpv6,
        ),
      ),
    },
    { path: 'etc/udhcpc.script', mode: 0o100755, content: Buffer.from(leaseScript) },
    ...modules.map((path, index) => ({ path: `lib/${index}.ko`, mode: 0o100644, content: readFileSync(path) })),
    ...client,
  ];
  return { kernel: `/boot/vmlinuz-${release}`, initramfs: cpio(entries) };
}

/** Paths in an order in which insmod accepts them, by modules.dep(5): its lines list dependencies from the nearest to the farthest. */
function modulesWithDependencies(release: string, names: readonly string[]): string[] {
  const directory = `/lib/modules/${release}`;
  const lines = readFileSync(`${directory}/modules.dep`, 'utf8').split('\n');
  const ordered: string[] = [];
  for (const name of names) {
    const line = lines.find((one) => one.split(':')[0]?.endsWith(`/${name}.ko`));
    // Built into the kernel: nothing to load.
    if (line === undefined) continue;
    const [module = '', dependencies = ''] = line.split(':');
    for (const path of [...dependencies.trim().split(' ').toReversed(), module]) {
      if (path !== '' && !ordered.includes(`${directory}/${path}`)) ordered.push(`${directory}/${path}`);
    }
  }
  return ordered;
}

/** Commands come in base64, one a line, each answered by its output in base64 and its exit status. */
function init(modules: readonly string[], dhcpv6: boolean): string {
  return `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
${modules.map((path) => `insmod ${path}`).join('\n')}
ip link set lo up
for nic in /sys/class/net/eth*; do
  name=\${nic##*/}
  echo 0 > /proc/sys/net/ipv6/conf/$name/accept_dad
  ip link set $name up
  udhcpc -i $name -s /etc/udhcpc.script -O mtu -O staticroutes -n -q -t 20 -T 1 > /tmp/udhcpc.$name 2>&1
  ${dhcpv6 ? leaseV6 : ''}
done
stty -F /dev/ttyS1 raw -echo
exec < /dev/ttyS1 > /dev/ttyS1
echo ready
while read -r line; do
  echo "$line" | base64 -d > /tmp/command
  sh /tmp/command > /tmp/output 2>&1 < /dev/null
  status=$?
  echo "$status $(base64 -w 0 /tmp/output)"
done
poweroff -f
`;
}

/** dhclient gives up on an interface that has no link-local address yet, which comes with the carrier. */
const leaseV6 = `for i in $(seq 50); do
    grep -q "^fe80.* $name$" /proc/net/if_inet6 && break
    sleep 0.1
  done
  dhclient -6 -1 -cf /etc/dhclient.conf -lf /tmp/leases6.$name -pf /tmp/pid6.$name -sf /etc/dhclient.script $name > /tmp/dhclient.$name 2>&1`;

/** udhcpc's script: address, MTU, routes (option 121 before option 3, RFC 3442) and resolver from the lease. */
const leaseScript = `#!/bin/busybox sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
set > /tmp/lease.$interface
ip addr flush dev $interface scope global
ip addr add $ip/$mask dev $interface
[ -z "$mtu" ] || ip link set dev $interface mtu $mtu
if [ -n "$staticroutes" ]; then
  set -- $staticroutes
  while [ $# -ge 2 ]; do
    if [ "$2" = 0.0.0.0 ]; then ip route add $1 dev $interface; else ip route add $1 via $2 dev $interface; fi
    shift 2
  done
elif [ -n "$router" ]; then
  ip route add default via \${router%% *} dev $interface
fi
[ -z "$domain" ] || echo "search $domain" >> /etc/resolv.conf
for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done
`;

/** dhclient with the libraries it is linked to, at their own paths, and a script that sets what the lease says (dhclient-script(8)). */
async function dhclientEntries(): Promise<Entry[]> {
  const program = '/sbin/dhclient';
  if (!existsSync(program)) throw new Error('No dhclient is installed: apt install isc-dhcp-client');
  const listed = await openKernel().run('ldd', [program]);
  const libraries = [...listed.matchAll(/(\/\S+) \(0x/g)].flatMap((match) => match[1] ?? []);
  const directories = new Set(['sbin', ...libraries.flatMap((path) => parents(path))]);
  return [
    ...[...directories].filter((path) => path !== 'lib').map((path) => ({ path, mode: 0o40755, content: Buffer.alloc(0) })),
    ...[...libraries, program].map((path) => ({
      path: path === program ? 'bin/dhclient' : path.slice(1),
      mode: 0o100755,
      content: readFileSync(path),
    })),
    { path: 'etc/dhclient.script', mode: 0o100755, content: Buffer.from(leaseScript6) },
    { path: 'etc/dhclient.conf', mode: 0o100644, content: Buffer.from('timeout 15;\n') },
  ];
}

/** `/lib64/a/b.so` gives `lib64`, `lib64/a`. */
function parents(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

const leaseScript6 = `#!/bin/busybox sh
case $reason in
BOUND6 | RENEW6 | REBIND6)
  ip addr add $new_ip6_address/128 dev $interface
  for server in $new_dhcp6_name_servers; do echo "nameserver $server" >> /etc/resolv.conf; done
  ;;
esac
exit 0
`;

interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer;
}

function cpio(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  const padded = (buffer: Buffer): Buffer => Buffer.concat([buffer, Buffer.alloc((4 - (buffer.length % 4)) % 4)]);
  [...entries, { path: 'TRAILER!!!', mode: 0, content: Buffer.alloc(0) }].forEach(({ path, mode, content }, index) => {
    const fields = [index + 1, mode, 0, 0, mode >> 14 === 1 ? 2 : 1, 0, content.length, 0, 0, 0, 0, path.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${path}\0`;
    parts.push(padded(Buffer.from(header)), padded(content));
  });
  return Buffer.concat(parts);
}
