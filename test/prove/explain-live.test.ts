/** `weft explain --live --trace` on an applied host: what it says of each flow, what a real packet does, and the kernel's own trace are the same. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { startLineProcess } from '../../src/kernel/line-process.ts';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';

const file = `name: demo
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: { network: internal, kind: namespace, address: [10.0.105.10, 'fd00:105::10'] }
  db: { network: internal, kind: namespace, address: [10.0.105.20, 'fd00:105::20'] }
  vm: { network: internal, address: 10.0.105.30 }
allow:
  - web -> db tcp/5432 udp/53
  - web -> host tcp/8080
block:
  - db -> internet udp/53
`;

interface Family {
  readonly family: number;
  readonly verdict: string;
  readonly packet: { readonly source: string; readonly destination: string; readonly protocol: string; readonly dport?: number };
  readonly trace?: { readonly agrees: boolean; readonly difference?: string; readonly lines: readonly object[] };
  readonly blockers: readonly { readonly where: string; readonly rule: string }[];
}

async function explained(bed: HostBed, flow: string, ...more: string[]): Promise<readonly Family[]> {
  const { stdout, stderr, status } = await bed.tryWeft(['explain', flow, '--live', '--json', ...more]);
  assert(status === 0 || status === 1, stderr);
  return (JSON.parse(stdout) as { families: Family[] }).families;
}

test("explain, packets and the kernel's trace agree, with foreign rules too", async () => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const before = await bed.host.kernel.run('nft', ['list', 'tables']);
    for (const flow of ['web -> db tcp/5432', 'web -> db tcp/80', 'db -> internet udp/53', 'db -> host icmp']) {
      const families = await explained(bed, flow, '--trace');
      assert.equal(families.length, 2, flow);
      for (const { verdict, packet, trace, family } of families) {
        assert(trace && trace.lines.length > 0, flow);
        assert(trace.agrees, `${flow} IPv${family}: ${trace.difference}\n${JSON.stringify(trace.lines, undefined, 1)}`);
        const at = flow.includes('-> db') ? 'db' : flow.includes('-> internet') ? 'outer' : 'host';
        const [from = ''] = flow.split(' ');
        const to = at === 'outer' ? (family === 4 ? internet4 : internet6) : packet.destination;
        const protocol = packet.protocol === 'tcp' || packet.protocol === 'udp' ? packet.protocol : 'icmp';
        const result = await bed.probe(from, at, { to, protocol, ...(packet.dport === undefined ? {} : { port: packet.dport }) });
        assert.equal(result.answered, verdict === 'accepted', `${flow} IPv${family}: ${verdict}`);
      }
    }
    assert.equal(await bed.host.kernel.run('nft', ['list', 'tables']), before, 'the trace leaves nothing');
    // Another program's rule, which also counts what is answered.
    await bed.host.kernel.run('nft', ['-f', '-'], {
      input: 'table ip other {\nchain f {\ntype filter hook forward priority 10; policy accept;\ntcp sport 5432 drop\n}\n}\n',
    });
    const [v4, v6] = await explained(bed, 'web -> db tcp/5432', '--trace');
    assert.deepEqual(
      [v4?.verdict, v4?.blockers, v4?.trace?.agrees],
      ['dropped', [{ where: 'ip other f', rule: 'tcp sport 5432 drop' }], true],
    );
    assert.equal(v6?.verdict, 'accepted');
    const { stderr, status } = await bed.tryWeft(['explain', 'vm -> db tcp/5432', '--live', '--trace']);
    assert.equal(status, 2);
    assert.match(stderr, /^error usage: --trace sends from a guest's namespace, and `vm` has none/);
    // Killed while it waits for the packet: the program that owns the table ends with it.
    const tables = (): Promise<string> => bed.host.kernel.run('nft', ['list', 'tables']);
    const until = async (what: string, holds: (listed: string) => boolean): Promise<void> => {
      for (let i = 0; i < 400; i++) {
        if (holds(await tables())) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.fail(what);
    };
    const main = join(import.meta.dirname, '../../src/cli/main.ts');
    const args = [
      'explain',
      'web -> db tcp/80',
      '--live',
      '--trace',
      '-f',
      bed.file,
      '--state-dir',
      join(bed.directory, 'state'),
      '--run-dir',
      join(bed.directory, 'run'),
    ];
    const running = startLineProcess(bed.host.kernel, process.execPath, [main, ...args]);
    await until('the table of the trace is there', (listed) => listed.includes('weft-trace'));
    await running.stop('SIGKILL');
    await until('the table of the trace is gone', (listed) => !listed.includes('weft-trace'));
  });
});
