/**
 * An apply without a process of its own: for tests that make a hundred of them, while packets flow or with something made to fail.
 */
import { join } from 'node:path';
import { applyPlan } from '../../src/apply/apply.ts';
import { preparePlan } from '../../src/apply/prepare.ts';
import { openSession } from '../../src/apply/session.ts';
import type { ApplyContext } from '../../src/apply/context.ts';
import type { Outcome } from '../../src/apply/transaction.ts';
import { parseConfig } from '../../src/config/read.ts';
import type { Diagnostic } from '../../src/diagnostic/diagnostic.ts';
import { buildFabric } from '../../src/fabric/build.ts';
import type { Lock } from '../../src/fabric/model.ts';
import type { HostBed } from '../bed/host.ts';

/** A session as the command opens it, in the bed's host and with its directories. */
export function sessionIn(bed: HostBed): ApplyContext {
  const session = openSession({
    directories: { state: join(bed.directory, 'state'), run: join(bed.directory, 'run') },
    progress: () => undefined,
  });
  return { ...session, kernel: bed.host.kernel };
}

/** Applies texts one after the other as `weft apply --yes` would, with the lock carried along. */
export function applier(bed: HostBed, context: ApplyContext = sessionIn(bed)): (text: string) => Promise<Outcome> {
  let lock: Lock | undefined;
  return async (text) => {
    const problems: Diagnostic[] = [];
    const report = (diagnostic: Diagnostic): void => void problems.push(diagnostic);
    const config = parseConfig('weft.yaml', bed.directory, text, report);
    const fabric = config && buildFabric(config, lock, report);
    if (!fabric) throw new Error(problems.map((problem) => problem.message).join('\n'));
    lock = fabric.lock;
    const host = fabric.hosts[0]?.name ?? 'host';
    const prepared = await preparePlan(context, { fabric, host, file: bed.file, lockFile: join(bed.directory, 'weft.lock') }, report);
    if (!prepared) throw new Error(problems.map((problem) => problem.message).join('\n'));
    return applyPlan(context, prepared, { command: 'apply' });
  };
}
