/**
 * A small program in a namespace that sends frames as they are given and tells of those that come in, in lines of hex. `link`: of an interface; `host`: packets of a
 * host's own programs, and what its rules let through to them.
 */
import type { Kernel } from '../../../src/kernel/kernel.ts';
import { startLineProcess, type LineProcess } from '../../../src/kernel/line-process.ts';

/** Resolves when it listens. */
export async function startAgent(kernel: Kernel, link: string | undefined, onPacket: (hex: string) => void): Promise<LineProcess> {
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const onLine = (line: string): void => (line === 'ready' ? resolve() : onPacket(line));
  const args = link === undefined ? ['-e', hostProgram] : ['-e', linkProgram, link];
  const started = startLineProcess(kernel, 'perl', args, { onLine });
  await Promise.race([ready, started.ended.then(({ stderr }) => Promise.reject(new Error(`The agent has ended: ${stderr}`)))]);
  return started;
}

const loop = `
$| = 1; print "ready\\n"; my $pending = '';
while (1) { my $r = $bits; vec($r, 0, 1) = 1; select($r, undef, undef, undef);
if (vec($r, 0, 1)) { my $n = sysread(STDIN, $pending, 65536, length $pending); exit unless $n; while ($pending =~ s/^([^\\n]*)\\n//) { out($1) } }
for my $s (@all) { next unless vec($r, fileno($s), 1); my $from = recv($s, my $data, 2000, 0); next unless defined $from; in($data, $from) } }
`;

/** packet(7); SIOCGIFINDEX of netdevice(7). Frames of its own are left out (PACKET_OUTGOING), and those for other MACs (PACKET_OTHERHOST). */
const linkProgram = `
use Socket; my (@all, $bits); $bits = '';
socket(my $s, 17, SOCK_RAW, 0x0300) or die "socket: $!"; my $name = pack('a16 x24', $ARGV[0]); ioctl($s, 0x8933, $name) or die "ioctl: $!";
my $link = pack('S n i x12', 17, 3, unpack('x16 i', $name)); bind($s, $link) or die "bind: $!"; vec($bits, fileno($s), 1) = 1; push @all, $s;
sub out { send($s, pack('H*', $_[0]), 0) }
sub in { my ($data, $from) = @_; print unpack('H*', substr($data, 14)), "\\n" if unpack('x10 C', $from) < 3 and substr($data, 12, 2) ne "\\x08\\x06" }
${loop}`;

/** raw(7) and RFC 3542: behind the hooks of what comes in, before those of what goes out. Of IPv6 the header is not given: its source is told instead. */
const hostProgram = `
use Socket qw(:all); my (@all, $bits, %v6); $bits = '';
for my $f (AF_INET, AF_INET6) { for my $p (1, 6, 17, 47, 58, 132) { socket(my $s, $f, SOCK_RAW, $p) or die "socket: $!"; vec($bits, fileno($s), 1) = 1; push @all, $s; $v6{fileno $s} = $p if $f == AF_INET6 } }
socket(my $o4, AF_INET, SOCK_RAW, 255) or die; socket(my $o6, AF_INET6, SOCK_RAW, 255) or die;
sub out { my ($to, $hex) = split ' ', $_[0]; my $v6 = $to =~ /:/; my $a = inet_pton($v6 ? AF_INET6 : AF_INET, $to);
send($v6 ? $o6 : $o4, pack('H*', $hex), 0, $v6 ? pack_sockaddr_in6(0, $a) : pack_sockaddr_in(0, $a)) }
sub in { my ($data, $from) = @_; my $p = $v6{fileno $_};
if ($p) { my (undef, $a) = unpack_sockaddr_in6($from); $data = pack('N n C C', 0x60000000, length $data, $p, 64) . $a . ("\\0" x 16) . $data }
print unpack('H*', $data), "\\n" }
${loop.replace('for my $s (@all)', 'for (@all)').replaceAll('fileno($s)', 'fileno($_)').replace('recv($s,', 'recv($_,')}`;
