/** `weft apply`: makes the host as the file says, in one transaction that undoes itself when it goes wrong or is not confirmed. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export interface ApplyOptions {
  readonly yes?: boolean;
  readonly confirm?: string;
  readonly verbose?: boolean;
  readonly full?: boolean;
}

export const register: Register = (program, ctx) => {
  const command = program
    .command('apply')
    .helpGroup(group.change)
    .description('make this host as the file says; asks first, and goes back unless the result is confirmed')
    .option('-y, --yes', 'ask nothing; without --confirm the change stays')
    .option('--confirm <time>', 'go back unless confirmed within this time (default when asking: 60s)')
    .option('--verbose', 'print each command before it runs')
    .option('--full', 'read everything back from the kernel, also where nothing seems changed');
  examples(
    command,
    'sudo weft apply                       # shows the plan, asks, applies, asks whether to keep it',
    'sudo weft apply --yes                 # for scripts',
    'sudo weft apply --yes --confirm 5m    # then: sudo weft confirm',
  );
  command.action(async (options: ApplyOptions) => {
    const { runApply } = await import('../apply-flow.ts');
    await runApply(ctx, options);
  });
};
