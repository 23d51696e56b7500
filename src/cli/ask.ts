/**
 * Questions to the person at the terminal.
 */
import { createInterface } from 'node:readline/promises';

/** True for y or yes; false for anything else, for no answer within `timeoutMs` and for a closed terminal. */
export async function askYes(question: string, timeoutMs?: number): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((resolve) => reader.once('close', () => resolve('')));
  try {
    const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    const answer = await Promise.race([reader.question(question, signal ? { signal } : {}), closed]);
    return /^(y|yes)$/i.test(answer.trim());
  } catch {
    return false;
  } finally {
    reader.close();
  }
}
