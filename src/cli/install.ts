/** The work of `weft install` and `weft uninstall`. */
import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { requireRoot } from '../apply/session.ts';
import { installUnits, uninstallUnits, type UnitPlace } from '../boot/install.ts';
import { bootUnits } from '../boot/units.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { openKernel } from '../kernel/open.ts';
import { existsSync } from 'node:fs';
import type { CliContext } from './context.ts';

export async function runInstall(ctx: CliContext, options: { readonly watch?: boolean; readonly root?: string }): Promise<void> {
  requireRoot('weft install');
  const place = placeOf(ctx, options.root);
  const { stateDir, runDir } = ctx.options;
  if (!existsSync(join(place.root, stateDir, 'applied.json'))) {
    const message = `nothing is applied on this host (there is no record in ${stateDir}), so there is nothing to bring back at boot: run \`weft apply\` first`;
    throw new WeftError(2, [{ code: 'not-applied', severity: 'error', message }]);
  }
  const units = bootUnits({ program: ownProgram(), stateDir, runDir }, { watch: options.watch === true });
  const done = await installUnits(place, units);
  const names = units.map((unit) => unit.name);
  ctx.answer({ ok: true, units: names, ...done }, () =>
    [
      ...done.removed.map((path) => `removed ${path}`),
      ...done.written.map((path) => `wrote ${path}`),
      done.written.length + done.removed.length === 0
        ? `Nothing to change: ${names.join(', ')} are installed.`
        : `Installed ${names.join(', ')}.`,
      'At every boot they bring back what was applied last; later applies need no new install. Run it again when Node or Weft has moved.',
    ].join('\n'),
  );
}

export async function runUninstall(ctx: CliContext, options: { readonly root?: string }): Promise<void> {
  requireRoot('weft uninstall');
  const done = await uninstallUnits(placeOf(ctx, options.root));
  ctx.answer({ ok: true, ...done }, () =>
    [
      ...done.removed.map((path) => `removed ${path}`),
      done.removed.length === 0 ? 'No unit of Weft is installed.' : 'What is applied stays as it is, until the next boot.',
    ].join('\n'),
  );
}

function placeOf(ctx: CliContext, root: string | undefined): UnitPlace {
  return root === undefined ? { root: '/', kernel: openKernel() } : { root: resolve(ctx.io.cwd, root), kernel: undefined };
}

/** This very Node and program, not the launcher: that one looks whether anything has to be built or fetched. */
function ownProgram(): string[] {
  const program = process.argv[1];
  if (program === undefined) throw new Error('Weft does not know its own program');
  return [process.execPath, realpathSync(program)];
}
