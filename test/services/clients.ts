/** DHCP clients and DNS questions as guests use them, with what they were told. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kernel } from '../../src/kernel/kernel.ts';
import type { Bed } from './bed.ts';

export type Lease = Readonly<Record<string, string>>;

let runs = 0;

/** busybox's udhcpc, once: the variables of its script (udhcpc(8)), or undefined when nobody answers. It configures nothing. */
export async function udhcpc(bed: Pick<Bed, 'directory'>, kernel: Kernel, options: readonly string[] = []): Promise<Lease | undefined> {
  const script = scriptFile(bed, '[ "$1" = bound ] && env');
  const args = ['-f', '-n', '-q', '-t', '2', '-T', '1', '-i', 'eth0', '-s', script.path, '-O', 'mtu', '-O', 'search', ...options];
  const result = await kernel.tryRun('udhcpc', args);
  return result.status === 0 ? variables(result.stdout) : undefined;
}

export interface DhclientOptions {
  readonly family: 4 | 6;
  /** The client's memory, its DUID included; another `store` is another client on the same port. */
  readonly store?: string;
  readonly extra?: readonly string[];
  readonly interface?: string;
  /** What it says its name is (DHCPv6 option 39). */
  readonly claims?: string;
}

/** ISC dhclient until its first lease: the `new_…` variables of dhclient-script(8), or undefined without one. It is ended afterwards. */
export async function dhclient(bed: Bed, kernel: Kernel, options: DhclientOptions): Promise<Lease | undefined> {
  const run = `${runs++}`;
  const script = scriptFile(bed, `case "$reason" in BOUND*|REBOOT|RENEW*) env > ${join(bed.directory, `lease-${run}`)} ;; esac`);
  const pidFile = join(bed.directory, `dhclient-${run}.pid`);
  const config = join(bed.directory, 'dhclient.conf');
  const claims = options.claims === undefined ? '' : `send fqdn.fqdn "${options.claims}";\nsend fqdn.server-update on;\n`;
  writeFileSync(config, `timeout 4;\nretry 60;\nselect-timeout 0;\ninitial-interval 1;\nbackoff-cutoff 1;\n${claims}`);
  const store = join(bed.directory, options.store ?? `store-${run}`);
  const args = [`-${options.family}`, '-1', '-cf', config, '-sf', script.path, '-lf', store, '-pf', pidFile];
  await kernel.tryRun('dhclient', [...args, ...(options.extra ?? []), options.interface ?? 'eth0'], { timeoutMs: 20_000 });
  try {
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  } catch {
    // Without a lease it has ended by itself.
  }
  try {
    return variables(readFileSync(join(bed.directory, `lease-${run}`), 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Asks for the same address again as a client does when half of its time is over (RFC 2131, 4.4.5: to the one server, from the address that it has); what the answer says: `ack 198.18.5.7`,
 * `nak`, or nothing.
 */
export async function renew(guest: Kernel, address: string, server: string): Promise<string> {
  const program = `
    const { createSocket } = await import('node:dgram');
    const { networkInterfaces } = await import('node:os');
    const hardware = Buffer.from(networkInterfaces().eth0[0].mac.replaceAll(':', ''), 'hex');
    const message = Buffer.alloc(300);
    message.set([1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78]);
    message.set('${address}'.split('.').map(Number), 12);
    message.set(hardware, 28);
    message.set([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 255], 236);
    const socket = createSocket('udp4');
    socket.on('message', (answer) => {
      const type = answer.subarray(240).indexOf(Buffer.from([53, 1]));
      console.log(answer[240 + type + 2] === 5 ? 'ack ' + answer.subarray(16, 20).join('.') : 'nak');
      process.exit();
    });
    socket.bind(68, '${address}', () => socket.send(message, 67, '${server}'));
    setTimeout(() => process.exit(), 5000);`;
  return (await guest.run(process.execPath, ['--input-type=module', '-e', program])).trim();
}

export interface Answer {
  readonly status: string;
  readonly records: readonly string[];
}

/** One question by dig: the answer's status (`NOERROR`, `NXDOMAIN`, `REFUSED`, or `TIMEOUT`) and the data of its records, sorted. */
export async function ask(kernel: Kernel, server: string, name: string, type = 'A', extra: readonly string[] = []): Promise<Answer> {
  const question = type === 'PTR' ? ['-x', name] : [name, type];
  const { stdout } = await kernel.tryRun('dig', [
    `@${server}`,
    ...question,
    '+time=2',
    '+tries=1',
    '+noall',
    '+answer',
    '+comments',
    ...extra,
  ]);
  const records = stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(';'))
    .map((line) => line.split(/\s+/).slice(4).join(' '));
  return { status: /status: (\w+)/.exec(stdout)?.[1] ?? 'TIMEOUT', records: records.sort() };
}

function scriptFile(bed: Pick<Bed, 'directory'>, body: string): { readonly path: string } {
  const path = join(bed.directory, `script-${runs++}`);
  writeFileSync(path, `#!/bin/sh\n${body}\nexit 0\n`, { mode: 0o755 });
  return { path };
}

function variables(text: string): Lease {
  const pairs = text.split('\n').map((line) => /^(\w+)=(.*)$/.exec(line));
  return Object.fromEntries(pairs.filter((match) => match !== null).map((match) => [match[1] ?? '', match[2] ?? '']));
}
