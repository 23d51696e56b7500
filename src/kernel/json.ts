/** Programs that answer in JSON. `ip` prints nothing at all, not `[]`, where it finds nothing. */
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from './kernel.ts';

/** Runs a program and parses its output; an empty output is undefined. Throws WeftError when it fails or prints something else. */
export async function runJson(kernel: Kernel, program: string, args: readonly string[]): Promise<unknown> {
  const out = await kernel.run(program, args);
  if (out.trim() === '') return undefined;
  try {
    const value: unknown = JSON.parse(out);
    return value;
  } catch (error) {
    const message = `\`${[program, ...args].join(' ')}\` printed something that is no JSON: ${out.slice(0, 200)}`;
    throw new WeftError(2, [{ code: 'program-failed', severity: 'error', message }], error);
  }
}
