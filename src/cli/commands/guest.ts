/** `weft guest add|remove`: edits the file, keeps its comments, and writes the lock. Changes no kernel: `weft apply` does. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const guest = program
    .command('guest')
    .helpGroup(group.file)
    .description('add a guest to the file, or remove one; comments and order stay');
  examples(guest, 'weft guest add web --network internal', 'weft guest remove web');

  const add = guest
    .command('add')
    .description('add a guest to the file and decide its address')
    .argument('<name>', 'its name')
    .requiredOption('--network <network>', 'the network it is in, or `none`')
    .option('--address <address>', 'its address; once more for the other family (default: the lowest free one)', several)
    .option('--dns <address>', 'its name server; may be given more than once (default: the gateway of the network)', several)
    .option('--kind <kind>', 'vm, container or namespace (default: vm)');
  examples(
    add,
    'weft guest add web --network internal',
    'weft guest add db --network internal --address 10.0.105.20 --kind container',
    'sudo weft apply',
  );
  add.action(async (name: string, options: { network: string; address?: string[]; dns?: string[]; kind?: string }) => {
    const { addGuestToFile } = await import('../edit-file.ts');
    const { network, address, dns, kind } = options;
    const one = (list: string[]): string | string[] => (list.length === 1 ? list.join() : list);
    await addGuestToFile(ctx, {
      name,
      network,
      ...(address && { address: one(address) }),
      ...(dns && { dns: one(dns) }),
      ...(kind === undefined ? {} : { kind }),
    });
  });

  const remove = guest
    .command('remove')
    .description('remove a guest from the file and give its address back')
    .argument('<name>', 'its name');
  examples(remove, 'weft guest remove web', 'sudo weft apply');
  remove.action(async (name: string) => {
    const { removeGuestFromFile } = await import('../edit-file.ts');
    await removeGuestFromFile(ctx, name);
  });
};

/** An option that may be given more than once. */
function several(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
