/**
 * `connects.ts serve PORT`: answers each connection with one byte and closes it. `connects.ts ask ADDRESS PORT SECONDS`: opens connections, 32 at a time, and
 * prints how many were answered.
 */
import { connect, createServer } from 'node:net';

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'serve') createServer((socket) => socket.on('error', () => undefined).end('x')).listen(Number(rest[0]), '0.0.0.0', 1024);
else await ask(rest[0] ?? '', Number(rest[1]), Number(rest[2]));

async function ask(host: string, port: number, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  let answered = 0;
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ host, port });
      socket.on('data', () => answered++);
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
    });
  const worker = async (): Promise<void> => {
    while (performance.now() < end) await one();
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  console.log(answered);
}
