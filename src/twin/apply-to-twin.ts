/** The one place where a rehearsal meets the apply: the same plan, transaction and policy as on a real host, in the twin's namespace. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { applyPlan } from '../apply/apply.ts';
import { hostFacts } from '../apply/facts.ts';
import { preparePlan } from '../apply/prepare.ts';
import { openSession } from '../apply/session.ts';
import { judge } from '../compile/judge.ts';
import type { Flow } from '../compile/judge.ts';
import { hostPolicy } from '../compile/policy.ts';
import type { Report } from '../diagnostic/diagnostic.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Attempt, Expect } from './cases.ts';
import type { RehearsalRequest } from './rehearse.ts';

/** Applies the fabric to the host that `kernel` is in. Resolves to what its policy says of a connection; undefined when an error was reported. */
export async function applyToTwin(
  kernel: Kernel,
  request: RehearsalRequest,
  report: Report,
  progress: (text: string) => void,
): Promise<Expect | undefined> {
  // All of it in the sandbox's own /run; the real state and lock are neither read nor written.
  const directory = '/run/weft-twin';
  mkdirSync(directory, { recursive: true });
  const session = openSession({ directories: { state: join(directory, 'state'), run: join(directory, 'run') }, progress });
  const context = { ...session, kernel };
  const planned = { ...request, lockFile: join(directory, 'weft.lock') };
  const facts = await hostFacts(kernel, planned, {});
  const prepared = await preparePlan(context, planned, report);
  if (prepared === undefined) return undefined;
  if (prepared.plan.steps.some((step) => step.kind === 'modules')) {
    // Modules are the whole machine's, and a rehearsal changes nothing of it.
    const message =
      'A rehearsal with a network of kind bridged needs the kernel module br_netfilter, which is not loaded here: apply first, or load it with `modprobe br_netfilter` (docs/bridged.md says what it does to other bridges).';
    report({ code: 'feature-missing', severity: 'error', message });
    return undefined;
  }
  await applyPlan(context, prepared, { command: 'rehearse' });
  const policy = hostPolicy(request.fabric, request.host, facts);
  // What is not Weft's to filter passes: nobody else filters in the twin.
  return (attempt) => judge(policy, flowOf(attempt)).verdict !== 'drop';
}

function flowOf({ from, to, protocol, port, dial }: Attempt): Flow {
  const path = from.kind === 'host' ? 'output' : to.kind === 'host' ? 'input' : 'forward';
  const spoken = protocol === 'icmp' && from.family === 6 ? 'icmpv6' : protocol;
  return {
    src: from.address,
    dst: to.address,
    protocol: spoken,
    path,
    ...(port === undefined ? {} : { dport: port }),
    ...(dial ? { dnat: true, original: { dst: dial.address, dport: dial.port } } : {}),
  };
}
