/**
 * A real virtual machine on a TAP: QEMU, emulated (nested KVM is often missing or broken on test machines), with the initramfs beside this
 * file. It boots, gets
 * its leases, and runs shell commands (busybox) on request.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { startLineProcess } from '../../src/kernel/line-process.ts';
import { bootFiles } from './initramfs.ts';

export interface VmOptions {
  /** Of the namespace the TAPs are in. */
  readonly kernel: Kernel;
  /** In order: eth0, eth1, … in the VM. */
  readonly nics: readonly { readonly tap: string; readonly mac: string }[];
  /** QEMU's words that make the NICs, in place of those made from `nics`. */
  readonly nicArguments?: readonly string[];
  /** Asks for IPv6 addresses too. Routes come from router advertisements in any case. */
  readonly dhcpv6?: boolean;
  /** Default 256 MiB. */
  readonly memoryMb?: number;
  /** Default 90 s: emulation on a busy machine is slow. */
  readonly bootTimeoutMs?: number;
}

export interface Vm {
  /** Runs a shell script in the VM; resolves to its output (stdout and stderr), whatever it exits with. */
  tryRun(script: string): Promise<{ readonly status: number; readonly output: string }>;
  /** As `tryRun`, but throws unless it exits 0. */
  run(script: string): Promise<string>;
  /** Pulls the plug. */
  stop(): Promise<void>;
}

/** Resolves once every NIC has had its chance for a lease (20 s at most each). Throws with the console's last lines when the VM does not boot. */
export async function startVm(options: VmOptions): Promise<Vm> {
  const { kernel, initramfs } = await bootFiles(options.dhcpv6 === true);
  const directory = mkdtempSync(join(tmpdir(), 'weft-vm-'));
  const console = join(directory, 'console');
  writeFileSync(join(directory, 'initramfs'), initramfs);
  const answers: ((line: string) => void)[] = [];
  const process = startLineProcess(
    options.kernel,
    'qemu-system-x86_64',
    qemuArguments(options, kernel, join(directory, 'initramfs'), console),
    {
      onLine: (line) => answers.shift()?.(line.trim()),
    },
  );
  const failed = process.ended.then(({ stderr }): never => {
    const log = lastLines(console);
    rmSync(directory, { recursive: true, force: true });
    throw new Error(`The VM ended.\n${stderr}\n${log}`);
  });
  failed.catch(() => undefined);
  const nextLine = (): Promise<string> => Promise.race([new Promise<string>((resolve) => answers.push(resolve)), failed]);
  const timeoutMs = options.bootTimeoutMs ?? 90_000;
  const late = setTimeout(() => {
    void process.stop();
  }, timeoutMs);
  await nextLine();
  clearTimeout(late);

  async function tryRun(script: string): Promise<{ status: number; output: string }> {
    const answer = nextLine();
    process.send(Buffer.from(script).toString('base64'));
    const [status = '', output = ''] = (await answer).split(' ');
    return { status: Number(status), output: Buffer.from(output, 'base64').toString('utf8') };
  }
  return {
    tryRun,
    run: async (script) => {
      const { status, output } = await tryRun(script);
      if (status !== 0) throw new Error(`In the VM, \`${script}\` failed with exit status ${status}: ${output}`);
      return output;
    },
    stop: async () => {
      await process.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function qemuArguments(options: VmOptions, kernel: string, initramfs: string, console: string): string[] {
  const made = options.nics.flatMap(({ tap, mac }, index) => [
    ...['-netdev', `tap,id=n${index},ifname=${tap},script=no,downscript=no`],
    ...['-device', `virtio-net-pci,netdev=n${index},mac=${mac},romfile=`],
  ]);
  const nics = options.nicArguments ?? made;
  return [
    ...['-accel', 'tcg', '-m', String(options.memoryMb ?? 256), '-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-kernel', kernel, '-initrd', initramfs, '-append', 'console=ttyS0 quiet panic=-1 net.ifnames=0'],
    ...['-display', 'none', '-monitor', 'none', '-serial', `file:${console}`, '-serial', 'stdio', ...nics],
  ];
}

function lastLines(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(-30).join('\n');
  } catch {
    return '';
  }
}
