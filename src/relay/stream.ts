/** DNS messages over TCP: each with its length before it (RFC 1035 4.2.2). */
import type { Socket } from 'node:net';

export function frame(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Calls back with each whole message. */
export function messagesOf(socket: Socket, each: (message: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      each(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
  });
}
