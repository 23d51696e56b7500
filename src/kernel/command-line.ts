/**
 * A command as a person would type it, for `apply --verbose` and for error messages, and the question whether a command
 * changes anything: readers run dozens of times and would drown what matters.
 */

/** `nsenter --net=/run/netns/x -- ip link del dev w-web`; a script on standard input follows as a here-document. */
export function commandLine(netns: string | undefined, program: string, args: readonly string[], input: string | undefined): string {
  const words = [program, ...args].map(quoteWord).join(' ');
  const line = netns === undefined ? words : `nsenter --net=${quoteWord(netns)} -- ${words}`;
  return input === undefined ? line : `${line} <<'END'\n${input.endsWith('\n') ? input : `${input}\n`}END`;
}

/** One word for a POSIX shell, in single quotes where it needs them. */
export function quoteWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

const readers: Readonly<Record<string, (args: readonly string[]) => boolean>> = {
  ip: (args) => args.some((a) => a === 'show' || a === '-j' || a === '-json'),
  bridge: (args) => args.some((a) => a === 'show' || a === '-j' || a === '-json'),
  nft: (args) => args.some((a) => a === 'list' || a === '-c' || a === '--check' || a === '--version' || a === '-v'),
  conntrack: (args) => args.some((a) => a === '-L' || a === '-C' || a === '-S' || a === '--version'),
  wg: (args) => args[0] === 'show' || args[0] === '--version' || args[0] === 'pubkey' || args[0] === 'genkey',
  sysctl: (args) => !args.includes('-w'),
  cat: () => true,
  grep: () => true,
  id: () => true,
  readlink: () => true,
  xargs: (args) => args.includes('grep'),
  dig: () => true,
  getent: () => true,
};

/** True when the command is known to change nothing. */
export function isReadOnly(program: string, args: readonly string[]): boolean {
  return readers[program]?.(args) ?? false;
}
