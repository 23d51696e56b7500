/**
 * Files for measuring proofs: many guests of few kinds, and rules between groups of them. Run by itself it prints one: `node bench/generate-groups.ts 10000 300 2000`.
 */
import { sequence } from './generate.ts';

export interface GroupShape {
  readonly guests: number;
  readonly groups: number;
  readonly rules: number;
}

/** Guests `g0`, `g1`, …; each in one group and every third in a second one, always the same pairs; networks of at most 1,000. */
export function generateGroups({ guests, groups, rules }: GroupShape): string {
  const random = sequence(guests * 31 + rules);
  const below = (count: number): number => Math.floor(random() * count);
  const networks = Math.ceil(guests / 1000);
  const lines = ['name: bench', 'networks:'];
  for (let n = 0; n < networks; n++)
    lines.push(`  net${n}: { kind: nat, subnet: [10.${n + 1}.0.0/16, 'fd00:${n + 1}::/64'], range: 10.${n + 1}.0.10-10.${n + 1}.250.250 }`);
  lines.push('guests:');
  for (let g = 0; g < guests; g++) lines.push(`  g${g}: net${g % networks}`);
  const members = Array.from({ length: groups }, (): string[] => []);
  for (let g = 0; g < guests; g++) {
    members[g % groups]?.push(`g${g}`);
    if (g % 3 === 0) members[((g % groups) * 7 + 1) % groups]?.push(`g${g}`);
  }
  lines.push('groups:');
  for (const [k, names] of members.entries()) lines.push(`  role${k}: [${[...new Set(names)].join(', ')}]`);
  lines.push('allow:');
  for (let r = 0; r < rules; r++) lines.push(`  - role${below(groups)} -> ${target(r, below, groups)}`);
  return `${lines.join('\n')}\n`;
}

/** Of ten rules eight go to another group, one to the internet, one to an outer prefix. */
function target(r: number, below: (count: number) => number, groups: number): string {
  const port = 1024 + below(200);
  if (r % 10 === 8) return `internet tcp/${port}`;
  if (r % 10 === 9) return `203.0.113.${below(16) * 16}/28 tcp/${port}`;
  return `role${below(groups)} ${r % 5 === 4 ? `udp/${port}-${port + 9}` : `tcp/${port}`}`;
}

if (process.argv[1] === import.meta.filename) {
  const [guests = 10_000, groups = 300, rules = 2000] = process.argv.slice(2).map(Number);
  process.stdout.write(generateGroups({ guests, groups, rules }));
}
