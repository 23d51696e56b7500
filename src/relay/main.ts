/** The relay as a program: `node main.ts CONFIGURATION`. Started as a service by `apply`, not by people. */
import { openKernel } from '../kernel/open.ts';
import { runRelay } from './run.ts';

const [, , configFile = ''] = process.argv;
await runRelay(openKernel(), configFile, (line) => process.stderr.write(`${line}\n`)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
