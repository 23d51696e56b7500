/** The units' text; that systemd takes them is for test/apply/boot.test.ts. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { bootUnits, type Installation } from './units.ts';

const plain: Installation = { program: ['/usr/bin/node', '/opt/weft/dist/main.js'], stateDir: '/var/lib/weft', runDir: '/run/weft' };
const execStart = (installation: Installation): string[] =>
  bootUnits(installation, { watch: true }).map(({ text }) => /^ExecStart=(.*)$/m.exec(text)?.[1] ?? '');

test('they run this program, by absolute paths', () => {
  const where = '--state-dir /var/lib/weft --run-dir /run/weft';
  assert.deepEqual(execStart(plain), [
    `/usr/bin/node /opt/weft/dist/main.js restore --early ${where}`,
    `/usr/bin/node /opt/weft/dist/main.js restore ${where}`,
    `/usr/bin/node /opt/weft/dist/main.js watch ${where}`,
  ]);
});

test('paths with spaces, quotes, percent and dollar signs come through systemd’s reading', () => {
  const odd: Installation = { ...plain, program: ['/usr/bin/node', '/srv/my "weft" 100%/$x/main.js'] };
  assert.match(execStart(odd)[1] ?? '', /^\/usr\/bin\/node "\/srv\/my \\"weft\\" 100%%\/\$\$x\/main\.js" restore /);
  const [unit] = bootUnits({ ...plain, stateDir: '/var/lib/a%b' }, { watch: false });
  assert.match(unit?.text ?? '', /^ConditionPathExists=\/var\/lib\/a%%b\/applied\.json$/m);
});

test('the early one comes before any network, after whoever flushes rules at boot; no mount namespace hides what it makes', () => {
  const [early, full] = bootUnits(plain, { watch: false });
  assert.match(early?.text ?? '', /^Before=network-pre\.target shutdown\.target$/m);
  assert.match(early?.text ?? '', /^After=.*\bnftables\.service\b/m);
  assert.match(early?.text ?? '', /^RequiresMountsFor=\/var\/lib\/weft \/usr\/bin \/opt\/weft\/dist$/m);
  assert.match(full?.text ?? '', /^PartOf=nftables\.service$/m);
  for (const { text } of bootUnits(plain, { watch: true })) {
    assert.doesNotMatch(text, /^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Temporary|Bind|Dynamic|RootDir)/m);
    assert.match(text, /^KillMode=process$/m);
  }
});
