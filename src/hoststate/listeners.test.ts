import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readListeners } from './listeners.ts';

test('sockets of ss (iproute2 6.1), with address, interface and program', () => {
  const text = `
tcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=812,fd=3),("sshd",pid=1,fd=3))
tcp   LISTEN 0      511                *:80              *:*
tcp   LISTEN 0      128             [::]:25           [::]:*
tcp   LISTEN 0      128     203.0.113.10:443       0.0.0.0:*
udp   UNCONN 0      0      127.0.0.53%lo:53        0.0.0.0:*
udp   UNCONN 0      0   0.0.0.0%br-front:67        0.0.0.0:*
udp   UNCONN 0      0     [fe80::1]%eth0:546          [::]:*
udp   UNCONN 0      0         *%br-front:547             *:*
nl    UNCONN 0      0             rtnl:sshd              *
`;
  assert.deepEqual(readListeners(text), [
    { protocol: 'tcp', port: 22, families: [4], program: 'sshd' },
    { protocol: 'tcp', port: 80, families: [4, 6] },
    { protocol: 'tcp', port: 25, families: [6] },
    { protocol: 'tcp', port: 443, address: '203.0.113.10', families: [4] },
    { protocol: 'udp', port: 53, address: '127.0.0.53', families: [4], link: 'lo' },
    { protocol: 'udp', port: 67, families: [4], link: 'br-front' },
    { protocol: 'udp', port: 546, address: 'fe80::1', families: [6], link: 'eth0' },
    { protocol: 'udp', port: 547, families: [4, 6], link: 'br-front' },
  ]);
  assert.deepEqual(readListeners('\nrubbish\ntcp LISTEN\ntcp LISTEN 0 0 x 0'), []);
});
