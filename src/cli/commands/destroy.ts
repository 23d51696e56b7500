/** `weft destroy`: removes everything of Weft from this host, which is then as before the first apply. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('destroy')
    .helpGroup(group.change)
    .description('remove everything of Weft from this host: links, rules, settings, services, namespaces; the file stays')
    .option('-y, --yes', 'do not ask')
    .option('--verbose', 'print each command before it runs');
  examples(command, 'sudo weft destroy', 'sudo weft destroy --yes');
  command.action(async (options: { readonly yes?: boolean; readonly verbose?: boolean }) => {
    const { sessionOf } = await import('../change.ts');
    const { requireRoot, withLock } = await import('../../apply/session.ts');
    const { planDestroy, destroyAll, removeRunDirectory } = await import('../../apply/destroy.ts');
    const { refuseWhilePending } = await import('../../apply/transaction.ts');
    const { WeftError } = await import('../../diagnostic/diagnostic.ts');
    const { askYes } = await import('../ask.ts');
    requireRoot('weft destroy');
    if (options.yes !== true && !ctx.io.interactive) {
      throw new WeftError(2, [
        {
          code: 'usage',
          severity: 'error',
          message: 'weft destroy asks before it removes anything, and there is no terminal to ask at: add --yes',
        },
      ]);
    }
    const session = sessionOf(ctx, { verbose: options.verbose === true });
    const destroy = async (): Promise<void> => {
      await refuseWhilePending(session);
      const prepared = await planDestroy(session);
      const count = prepared.plan.changes.length;
      if (count > 0 && options.yes !== true && !(await askYes(`Remove everything of Weft from this host (${count} things)? [y/N] `))) {
        ctx.err('Nothing was changed.');
        ctx.exitCode = 1;
        return;
      }
      if (prepared.lost) {
        ctx.report({
          code: 'foreign-state',
          severity: 'warning',
          message: `the records in ${session.store.directory} are lost: what bears the mark of Weft is removed, but what it had changed of the host's settings (such as net.ipv4.ip_forward) stays as it is now`,
        });
      }
      ctx.touched = true;
      await destroyAll(session, prepared);
      ctx.answer({ ok: true, changes: prepared.plan.changes }, () =>
        count === 0 ? 'Nothing of Weft is on this host.' : 'Everything of Weft is gone from this host.',
      );
    };
    await withLock(session, ctx.report, destroy, { leaving: true });
    ctx.touched = false;
    await removeRunDirectory(session);
    const { installedUnits } = await import('../../boot/install.ts');
    const units = await installedUnits('/');
    if (units.length > 0) ctx.err(`${units.join(', ')} are still installed and do nothing now; \`weft uninstall\` removes them.`);
  });
};
