/**
 * Files for measuring: many guests on one host, each with rules of its own, the same for the same numbers. Run by itself it prints one:
 * `node bench/generate.ts 1000 10`.
 */
export interface Shape {
  readonly guests: number;
  /** Rules whose source is this guest, for each guest. */
  readonly rulesEach: number;
  /** Networks the guests are spread over, in turn; a bridge takes 1,023 ports. */
  readonly networks: number;
}

/** A weft.yaml: guests `g0`, `g1`, … of kind vm, networks `net0`, …, a group for each tenth guest. */
export function generate({ guests, rulesEach, networks }: Shape): string {
  const random = sequence(guests * 31 + rulesEach);
  const lines = ['name: bench', 'networks:'];
  for (let n = 0; n < networks; n++)
    lines.push(`  net${n}: { kind: nat, subnet: [10.${n + 1}.0.0/16, 'fd00:${n + 1}::/64'], range: 10.${n + 1}.0.10-10.${n + 1}.250.250 }`);
  lines.push('guests:');
  for (let g = 0; g < guests; g++) lines.push(`  g${g}: net${g % networks}`);
  lines.push('groups:');
  for (let k = 0; k < 10; k++)
    lines.push(`  role${k}: [${Array.from({ length: Math.ceil((guests - k) / 10) }, (_, i) => `g${i * 10 + k}`).join(', ')}]`);
  lines.push('allow:', '  - role0 -> role1 tcp/5432', '  - role2 -> role3 tcp/80,443', '  - role4 -> internet tcp/443');
  for (let g = 0; g < guests; g++) {
    for (let r = 0; r < rulesEach; r++) lines.push(`  - g${g} -> ${target(g, r, guests, random)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Of ten rules seven go to other guests, one to an outer prefix, one is a port range, one is ping. */
function target(g: number, r: number, guests: number, random: () => number): string {
  const other = (g + 1 + Math.floor(random() * (guests - 1))) % guests;
  const port = 1024 + Math.floor(random() * 200);
  if (r % 10 === 7) return `203.0.113.${Math.floor(random() * 16) * 16}/28 tcp/${port}`;
  if (r % 10 === 8) return `g${other} udp/${port}-${port + 9}`;
  if (r % 10 === 9) return `g${other} icmp`;
  return `g${other} tcp/${port}`;
}

/** Numbers in [0, 1) that look random and are always the same (a linear congruential generator). */
export function sequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

if (process.argv[1] === import.meta.filename) {
  const [guests = 1000, rulesEach = 10, networks = Math.ceil(guests / 1000)] = process.argv.slice(2).map(Number);
  process.stdout.write(generate({ guests, rulesEach, networks }));
}
