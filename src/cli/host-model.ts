/** The host that a question is about, as the prover sees it: as the file wants it, as it is now, or as a captured document has it. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { assumedFacts } from '../compile/assumed-facts.ts';
import { compileHost } from '../compile/host.ts';
import { hostPolicy } from '../compile/policy.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Fabric } from '../fabric/model.ts';
import { capture } from '../kernel/capture.ts';
import { openKernel } from '../kernel/open.ts';
import type { KernelModel } from '../prove/kernel-model.ts';
import { bridgedGuests } from '../prove/model/bridged-guests.ts';
import { modelOf } from '../prove/model/model-of.ts';
import { modelOfCapture } from '../prove/model/read-capture.ts';
import type { CliContext } from './context.ts';

export interface StateOptions {
  readonly live?: boolean;
  /** A captured document. */
  readonly state?: string;
}

/** The policy of the file for this host, with what the file alone allows to assume of it. */
export function assumedPolicy(fabric: Fabric, host: string): HostPolicy {
  return hostPolicy(fabric, host, assumedFacts(fabric, host));
}

/** As the file wants it: nothing of the real machine is looked at. */
export function desiredModel(fabric: Fabric, host: string, policy: HostPolicy): KernelModel {
  const facts = assumedFacts(fabric, host);
  return modelOf(compileHost(fabric, host, facts, { policy }), facts, { bridgedGuests: bridgedGuests(fabric, host) });
}

/** What is there, or was there when the document was captured. `fabric`: the file, when there is one. */
export async function seenModel(
  ctx: CliContext,
  { live, state }: StateOptions,
  fabric: Fabric | undefined,
  host: string,
): Promise<KernelModel> {
  const guests = fabric ? bridgedGuests(fabric, host) : new Map<string, readonly string[]>();
  const document: unknown = live === true ? await capture(openKernel(), host) : readDocument(ctx, state ?? '');
  const model = modelOfCapture(document, guests);
  if (!model) throw refused(`${state} is no captured state of a host: make one with \`weft capture > FILE\``);
  return model;
}

function readDocument(ctx: CliContext, path: string): unknown {
  let text: string;
  try {
    text = readFileSync(resolve(ctx.io.cwd, path), 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw refused(`${path} cannot be read (${code}): name a document that \`weft capture\` made`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw refused(`${path} is no JSON: name a document that \`weft capture\` made`);
  }
}

const refused = (message: string): WeftError => new WeftError(2, [{ code: 'file-unreadable', severity: 'error', message }]);
