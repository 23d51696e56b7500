/**
 * `import '../bed/sandboxed.ts'` as a test file's first import runs that whole file in a machine of its own (src/kernel/sandbox.ts):
 * whatever the tests make is gone when the file ends, also after kill -9, names never collide between files, and nothing of the real
 * machine can be touched. The file is started a second time, inside; this first process only waits.
 */
import process from 'node:process';
import { insideSandbox, runInSandbox } from '../../src/kernel/sandbox.ts';

if (!insideSandbox()) process.exit(await runInSandbox([process.execPath, ...process.execArgv, ...process.argv.slice(1)]));
