import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { sshConnection } from './login-session.ts';

const session = '198.51.100.7 50000 203.0.113.10 22';

test('the own variable counts, also an empty one', () => {
  assert.equal(sshConnection({ SSH_CONNECTION: session }), session);
  assert.equal(sshConnection({ SSH_CONNECTION: '', SUDO_UID: '1000' }), undefined);
  assert.equal(sshConnection({}), undefined);
});

test('under sudo the processes above are asked', async () => {
  // A login shell, as it were, with a program that has lost the variable.
  const shell = spawn('sh', ['-c', 'env -u SSH_CONNECTION tail -f /dev/null & echo $!; wait'], {
    env: { ...process.env, SSH_CONNECTION: session },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const pid = await new Promise<number>((resolve) => void shell.stdout.once('data', (text: Buffer) => resolve(Number(text.toString()))));
    assert.equal(sshConnection({ SUDO_UID: '1000' }, pid), session);
    assert.equal(sshConnection({}, pid), undefined, 'without sudo the variable would have come along');
    process.kill(pid);
  } finally {
    shell.kill();
  }
});
