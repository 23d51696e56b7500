/** `weft install` and `weft uninstall`: the systemd units that bring the last applied state back at boot. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const install = program
    .command('install')
    .helpGroup(group.change)
    .description('have systemd bring the last applied state back at every boot, before the network is up')
    .option('--watch', 'also run `weft watch` as a service, which mends what others change')
    .option('--root <directory>', 'write into this system (an image, a chroot) instead of the running one');
  examples(install, 'sudo weft install', 'sudo weft install --watch', 'sudo weft install --root /mnt/image');
  install.action(async (options: { readonly watch?: boolean; readonly root?: string }) => {
    const { runInstall } = await import('../install.ts');
    await runInstall(ctx, options);
  });

  const uninstall = program
    .command('uninstall')
    .helpGroup(group.change)
    .description('remove what `weft install` has put there; what is applied stays until the next boot')
    .option('--root <directory>', 'the system it was written into');
  examples(uninstall, 'sudo weft uninstall');
  uninstall.action(async (options: { readonly root?: string }) => {
    const { runUninstall } = await import('../install.ts');
    await runUninstall(ctx, options);
  });
};
