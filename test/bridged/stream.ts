/** A TCP session into a namespace and back: what one side sends is counted by the other and must come back byte for byte, in order. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BedNamespace } from '../../src/twin/bed.ts';

export interface Stream {
  /** Ends it and tells how many bytes came back; throws when one was missing or wrong, or the session was reset. */
  end(): Promise<number>;
}

/** Opens a session from `client` to an echo on `address`, which the client may know by another one, and waits for its first answers. */
export async function openStream(
  client: BedNamespace,
  server: BedNamespace,
  address: string,
  port = 7007,
  called = address,
): Promise<Stream> {
  const start = (where: BedNamespace, role: string, at: string) =>
    spawn('nsenter', [`--net=${where.path}`, '--', process.execPath, fileURLToPath(import.meta.url), role, at, String(port)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  const echo = start(server, 'server', address);
  await said(echo.stdout, 'listening');
  const sender = start(client, 'client', called);
  await said(sender.stdout, 'flowing');
  return {
    end: async () => {
      const result = new Promise<string>((resolve) => {
        let text = '';
        sender.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
        sender.on('close', () => resolve(text));
      });
      sender.stdin.end();
      const text = await result;
      echo.kill();
      const bytes = /all (\d+)/.exec(text)?.[1];
      if (bytes === undefined) throw new Error(`The session broke: ${text}`);
      return Number(bytes);
    },
  };
}

function said(stream: NodeJS.ReadableStream, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      if (!chunk.toString().includes(word)) return;
      stream.off('data', hear);
      resolve();
    };
    stream.on('data', hear);
    stream.once('close', () => reject(new Error(`It ended before it was ${word}.`)));
  });
}

/** The byte at a place of the stream: no two neighbouring blocks are alike. */
const byteAt = (place: number): number => (place * 31 + (place >>> 8) * 7) & 255;

async function serve(address: string, port: number): Promise<void> {
  const { createServer } = await import('node:net');
  createServer((socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  }).listen(port, address, () => process.stdout.write('listening\n'));
}

async function send(address: string, port: number): Promise<void> {
  const { connect } = await import('node:net');
  const socket = connect(port, address);
  let [sent, received, last] = [0, 0, false];
  const finish = (text: string): void => {
    process.stdout.write(`${text}\n`, () => process.exit(0));
  };
  socket.on('error', (error) => finish(`broken after ${received}: ${error.message}`));
  socket.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte !== byteAt(received++)) return finish(`byte ${received} is wrong`);
    if (received === chunk.length) process.stdout.write('flowing\n');
    if (last && received === sent) finish(`all ${received}`);
  });
  process.stdin.on('data', () => undefined).on('end', () => (last = true));
  setInterval(() => {
    if (sent - received > 100_000) return;
    if (last && sent > received) return;
    const block = Buffer.from(Array.from({ length: 1000 }, (_, i) => byteAt(sent + i)));
    sent += block.length;
    socket.write(block);
  }, 2);
}

if (process.argv[2] === 'server') await serve(process.argv[3] ?? '', Number(process.argv[4]));
if (process.argv[2] === 'client') await send(process.argv[3] ?? '', Number(process.argv[4]));
