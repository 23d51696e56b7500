/**
 * Programs of Weft run in sessions of their own, which the terminal's signals do not reach. But between fork(2) and setsid(2) the new process is in the
 * terminal's foreground group still. A Ctrl-C (SIGINT) or a closed window (SIGHUP) of exactly then waits, as all signals are blocked there, and ends the
 * process right before it becomes the program, while Weft itself only takes note of the signal (apply/signals.ts). Such a process has done nothing
 * and is started again.
 */

/** So many signals in a row, each in the microseconds of a start, are nobody's impatience. */
export const RESTARTS = 5;

/** Nobody else sends these to a program of Weft. */
export const isOfTerminal = (signal: number | NodeJS.Signals | null): boolean => signal === 'SIGINT' || signal === 'SIGHUP';
