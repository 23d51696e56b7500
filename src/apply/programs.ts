/**
 * A missing program is told before anything is changed, with the package that brings it.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Plan } from '../plan/steps.ts';

/** Throws WeftError `program-missing` (exit 2) that names all the plan needs and this host has not, undo and observation included. */
export function requirePrograms(kernel: Kernel, plan: Plan): void {
  const missing = programsFor(plan).flatMap((program): readonly Diagnostic[] => {
    try {
      kernel.programPath(program);
      return [];
    } catch (error) {
      if (error instanceof WeftError) return error.diagnostics;
      throw error;
    }
  });
  if (missing.length > 0) throw new WeftError(2, missing);
}

const programs = { dnsmasq: 'dnsmasq', recorder: 'tcpdump', relay: 'setpriv' } as const;

/** Undo of a stopped service starts it again, so what it runs counts too. */
export function programsFor({ steps }: Plan): readonly string[] {
  const needed = new Set(['ip', 'bridge', 'nft', 'setpriv']);
  for (const step of steps) {
    if (step.kind === 'modules') needed.add('modprobe');
    if (step.kind === 'nft') for (const program of ['conntrack', 'perl']) needed.add(program);
    if (step.kind === 'enslave' || step.kind === 'release') for (const program of ['flock', 'conntrack', 'perl']) needed.add(program);
    if (step.kind === 'guests') needed.add('nsenter');
    if (step.kind === 'service-start' || step.kind === 'service-stop')
      for (const service of step.services) needed.add(programs[service.kind]);
  }
  return [...needed];
}
