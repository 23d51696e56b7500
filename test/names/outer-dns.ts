/** A name server in the outer world of a bed, whose records a test changes: a dnsmasq with a hosts file. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostBed } from '../bed/host.ts';

export interface OuterDns {
  /** `address name` lines, valid for `ttl` seconds. Takes effect with the next question. */
  serve(records: readonly string[], ttl: number): Promise<void>;
  close(): Promise<void>;
}

/** `address`: one of the outer world's own, to see whether it answers. `aliases`: `alias,target` pairs, of names in the records. Answers at every address of the outer world, port 53. */
export async function outerDns(bed: HostBed, aliases: readonly string[] = [], address = '203.0.113.1'): Promise<OuterDns> {
  const hosts = join(bed.directory, 'outer-hosts');
  let pid: number | undefined;
  const close = async (): Promise<void> => {
    if (pid === undefined) return;
    process.kill(pid, 'SIGTERM');
    while ((await bed.outer.kernel.tryRun('dig', ['+tries=1', '+time=1', `@${address}`, 'version.bind', 'CH', 'TXT'])).status === 0)
      await sleep(50);
    pid = undefined;
  };
  return {
    async serve(records, ttl) {
      await close();
      writeFileSync(hosts, records.map((line) => `${line}\n`).join(''));
      const options = [
        '--keep-in-foreground',
        '--conf-file=/dev/null',
        '--user=',
        '--group=',
        '--no-resolv',
        '--no-hosts',
        '--port=53',
        '--pid-file=',
      ];
      const names = [`--addn-hosts=${hosts}`, `--local-ttl=${ttl}`, ...aliases.map((alias) => `--cname=${alias}`)];
      pid = await bed.outer.kernel.startDetached('dnsmasq', [...options, ...names]);
      const asks = ['+tries=1', '+time=1', `@${address}`, 'version.bind', 'CH', 'TXT'];
      for (const end = performance.now() + 20_000; performance.now() < end; await sleep(50))
        if ((await bed.outer.kernel.tryRun('dig', asks)).status === 0) return;
      throw new Error('The outer name server does not answer.');
    },
    close,
  };
}
