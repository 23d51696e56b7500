/** `weft attach` and `weft detach`: the port of a container, which exists only while the container does. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const attach = program
    .command('attach')
    .helpGroup(group.change)
    .description("give a container its NICs: by its process, or by its namespace's path; again after it restarts")
    .argument('<guest>', 'a guest of kind container, applied before')
    .option('--pid <n>', "a process of the container (podman inspect -f '{{.State.Pid}}' NAME)")
    .option('--netns <path>', 'path of its network namespace')
    .option('--verbose', 'print each command before it runs');
  examples(
    attach,
    "sudo weft attach nextcloud --pid $(podman inspect -f '{{.State.Pid}}' nextcloud)",
    'sudo weft attach build --netns /run/netns/build',
  );
  attach.action(async (guest: string, options: { readonly pid?: string; readonly netns?: string; readonly verbose?: boolean }) => {
    const { attachGuest } = await import('../../apply/attach.ts');
    await run(options.verbose === true, 'weft attach', async (session) => {
      const face = await attachGuest(session, guest, options);
      ctx.answer(
        { ok: true, guest, interfaces: face },
        () => `${guest} is attached: ${face.map((f) => `${f.name} ${f.addresses.join(' ')}`).join(', ')}`,
      );
    });
  });

  const detach = program
    .command('detach')
    .helpGroup(group.change)
    .description("take a container's NICs away")
    .argument('<guest>', 'an attached guest')
    .option('--verbose', 'print each command before it runs');
  examples(detach, 'sudo weft detach nextcloud');
  detach.action(async (guest: string, options: { readonly verbose?: boolean }) => {
    const { detachGuest } = await import('../../apply/attach.ts');
    await run(options.verbose === true, 'weft detach', async (session) => {
      await detachGuest(session, guest);
      ctx.answer({ ok: true, guest }, () => `${guest} is detached.`);
    });
  });

  async function run(
    verbose: boolean,
    name: string,
    work: (session: import('../../apply/context.ts').ApplyContext) => Promise<void>,
  ): Promise<void> {
    const { sessionOf } = await import('../change.ts');
    const { requireRoot, withLock } = await import('../../apply/session.ts');
    requireRoot(name);
    const session = sessionOf(ctx, { verbose });
    await withLock(session, ctx.report, async () => {
      ctx.touched = true;
      await work(session);
      ctx.touched = false;
    });
  }
};
