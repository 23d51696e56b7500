/** A real recording: nftables logs to the group, tcpdump keeps it, and `src/logs` reads it back. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { recordingsDir } from '../../src/kernel/recorder.ts';
import { observeServices, serviceStatus, startService, stopService } from '../../src/kernel/services.ts';
import { formatLog } from '../../src/logs/format.ts';
import { readRecordings } from '../../src/logs/read.ts';
import type { LogRecord } from '../../src/logs/read.ts';
import { makeBed } from './bed.ts';
import type { Bed } from './bed.ts';
import { fabric, guest, network } from './fixture.ts';

const described = fabric(
  [
    network('internal', {
      v4: { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range: { from: '10.0.105.10', to: '10.0.105.200' } },
      v6: { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' },
    }),
  ],
  [guest('web', [{ network: 'internal', v4: '10.0.105.10', v6: 'fd00:105::10', mac: '02:00:00:00:01:10' }])],
);
const recorder = { kind: 'recorder', name: 'recorder', group: 87 } as const;

const rules = `table inet logging {
  chain input { type filter hook input priority 0; policy accept;
    ip saddr 10.0.105.10 icmp type echo-request log group 87 snaplen 128 prefix "weft a 1f2e3d4c" accept
    ip saddr 10.0.105.10 udp dport 4242 log group 87 snaplen 128 prefix "weft d -" drop
    ip6 saddr fd00:105::10 tcp dport 80 log group 87 snaplen 128 prefix "weft d 0a0b0c0d" drop
    ip saddr 10.0.105.10 tcp dport 99 log group 87 snaplen 128 prefix "somebody else's" drop
    ip saddr 10.0.105.10 udp dport 5000-6000 log group 87 snaplen 128 prefix "weft d -" drop
  }
}
`;

describe('the recorder', () => {
  let bed: Bed;
  before(async () => {
    bed = await makeBed(described);
    await bed.host.run('nft', ['-f', '-'], { input: rules });
    const inside = bed.inside('web');
    await inside.run('ip', ['addr', 'add', '10.0.105.10/24', 'dev', 'eth0']);
    await inside.run('ip', ['addr', 'add', 'fd00:105::10/128', 'dev', 'eth0', 'nodad']);
    await inside.run('ip', ['-6', 'route', 'add', 'default', 'via', 'fe80::1', 'dev', 'eth0']);
  });
  after(() => bed.close());

  async function recorded(enough: (records: readonly LogRecord[]) => boolean): Promise<readonly LogRecord[]> {
    const end = performance.now() + 4000;
    for (;;) {
      const records = readRecordings(recordingsDir(bed.dirs));
      if (enough(records) || performance.now() > end) return records;
      await sleep(50);
    }
  }

  it('keeps what rules log, and reads it back as who, whom, what and by which rule', async () => {
    await startService(bed.host, recorder, bed.dirs);
    await startService(bed.host, recorder, bed.dirs);
    assert.equal(serviceStatus(bed.host, 'recorder', bed.dirs), 'running');
    assert.deepEqual(observeServices(bed.dirs, bed.host), [{ name: 'recorder', alive: true, service: recorder }]);
    const began = Date.now();
    const inside = bed.inside('web');
    await inside.run('ping', ['-c', '1', '-W', '1', '10.0.105.254']);
    const send = (to: string): Promise<unknown> => inside.tryRun('bash', ['-c', `echo x > ${to}`], { timeoutMs: 5000 });
    await send('/dev/udp/10.0.105.254/4242');
    await inside.tryRun('dig', ['@fd00:105::1', '-p', '80', '+tcp', '+time=1', '+tries=1', 'x']);
    await inside.tryRun('timeout', ['0.3', 'bash', '-c', 'echo x > /dev/tcp/10.0.105.254/99']);
    const records = await recorded((list) => list.length >= 3);
    const shown = records.map(({ time: _time, sport: _sport, inIf: _inIf, ...rest }) => rest);
    assert.deepEqual(shown, [
      { verdict: 'accepted', ruleId: '1f2e3d4c', family: 4, src: '10.0.105.10', dst: '10.0.105.254', protocol: 'icmp' },
      { verdict: 'dropped', family: 4, src: '10.0.105.10', dst: '10.0.105.254', protocol: 'udp', dport: 4242 },
      { verdict: 'dropped', ruleId: '0a0b0c0d', family: 6, src: 'fd00:105::10', dst: 'fd00:105::1', protocol: 'tcp', dport: 80 },
    ]);
    const index = Number(await bed.host.run('cat', ['/sys/class/net/br-internal/ifindex']).catch(() => '0'));
    for (const { time, inIf } of records) {
      assert.ok(Math.abs(time - began) < 60_000, 'the time of the packet');
      if (index > 0) assert.equal(inIf, index);
    }
    assert.ok((records[1]?.sport ?? 0) > 1023);
    const names = {
      rules: new Map([['1f2e3d4c', { file: 'weft.yaml', line: 40, text: 'web -> host icmp' }]]),
      guests: new Map([['10.0.105.10', 'web']]),
      hostPorts: new Map([[4242, 42]]),
    };
    assert.deepEqual(
      formatLog(records, names, 'WEB').map((line) => line.slice('2026-11-21 09:35:12.123 '.length)),
      ['accepted web -> 10.0.105.254 icmp (weft.yaml:40: web -> host icmp)', 'dropped  web -> 10.0.105.254 udp/42 (no rule allows it)'],
    );
  });

  it('keeps earlier packets when it dies and is started again, within a bound', async () => {
    process.kill(Number(readFileSync(join(bed.dirs.run, 'services/recorder/pid'), 'utf8')), 'SIGKILL');
    await sleep(50);
    assert.equal(serviceStatus(bed.host, 'recorder', bed.dirs), 'dead');
    await startService(bed.host, recorder, bed.dirs);
    assert.equal(readRecordings(recordingsDir(bed.dirs)).length, 3);
    await bed.inside('web').run('bash', ['-c', 'for i in {5000..5099}; do echo x > /dev/udp/10.0.105.254/$i; done']);
    const records = await recorded((list) => list.length >= 103);
    assert.equal(records.length, 103);
    assert.deepEqual(
      records.slice(3).map(({ dport }) => dport),
      Array.from({ length: 100 }, (_, i) => 5000 + i),
    );
  });

  it('leaves nothing when stopped', async () => {
    const pid = readFileSync(join(bed.dirs.run, 'services/recorder/pid'), 'utf8').trim();
    await stopService(bed.host, 'recorder', bed.dirs);
    assert.ok(!existsSync(`/proc/${pid}/exe`));
    assert.deepEqual(readdirSync(bed.dirs.run), []);
    assert.deepEqual(readdirSync(bed.dirs.state), []);
  });
});
