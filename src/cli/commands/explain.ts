/** `weft explain`: what becomes of one packet, step by step, and what to write to allow it. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('explain')
    .helpGroup(group.look)
    .description(
      'show what becomes of a packet of this flow, rule by rule, with the line of the file that decides, and what to add to allow it',
    )
    .argument('<flow>', "who -> whom what, as in the file: 'web -> db tcp/5432'")
    .option('--live', 'on this host as it is now, other programs’ rules included (needs root)')
    .option('--state <file>', 'on the host that a captured document is of (`weft capture`)')
    .option(
      '--trace',
      'with --live: also send one real packet from the guest’s namespace, and show the kernel’s own trace of it beside the answer',
    );
  examples(
    command,
    "weft explain 'web -> db tcp/5432'         # as the file wants it; no root, no kernel",
    "sudo weft explain 'web -> internet tcp/443' --live",
    "sudo weft explain 'web -> db tcp/80' --live --trace",
    "weft explain '203.0.113.7 -> 10.0.105.20 tcp/22' --state host.json --json",
  );
  command.action(async (flow: string, options: { live?: boolean; state?: string; trace?: boolean }) => {
    const { runExplain } = await import('../explain.ts');
    await runExplain(ctx, flow, options);
  });
};
