/** `weft export FORMAT GUEST`: a guest's network for other programs. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('export')
    .helpGroup(group.look)
    .description("print a guest's network in the form of another program; reads the file and its lock only")
    .argument('<format>', 'cloud-init, libvirt, ifupdown, networkd or qemu')
    .argument('<guest>', 'its name')
    .option('--directory <directory>', 'write the files there; of cloud-init, all three of a NoCloud seed')
    .option('--seed <image>', 'cloud-init: write a NoCloud seed image (volume label cidata)')
    .option('--user-data <file>', 'cloud-init: user data of the seed (default: none)');
  examples(
    command,
    'weft export cloud-init web                    # network-config, version 2',
    'weft export cloud-init web --seed web.iso --user-data web.yaml',
    'weft export libvirt web                       # <interface> for `virsh edit`',
    'weft export ifupdown web                      # /etc/network/interfaces',
    'weft export networkd web --directory network  # for /etc/systemd/network',
    'qemu-system-x86_64 disk.img $(weft export qemu web)',
  );
  command.action(async (format: string, guest: string, options: { directory?: string; seed?: string; userData?: string }) => {
    const { runExport } = await import('../export.ts');
    await runExport(ctx, format, guest, options);
  });
};
