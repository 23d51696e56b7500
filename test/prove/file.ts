/** A file's text as what is proved of it, and the compiled state to tamper with. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assumedFacts } from '../../src/compile/assumed-facts.ts';
import { compileHost } from '../../src/compile/host.ts';
import { checkFile } from '../../src/fabric/check-file.ts';
import type { Fabric } from '../../src/fabric/model.ts';
import { assumedOuterWorld } from '../../src/fabric/outer-world.ts';
import type { HostFacts, HostState } from '../../src/hoststate/model.ts';
import { bridgedGuests } from '../../src/prove/model/bridged-guests.ts';
import { modelOf } from '../../src/prove/model/model-of.ts';
import { proveModel, type ProofReport } from '../../src/prove/questions/report.ts';
import type { Case } from '../../src/prove/questions/subject.ts';

/** Of a sound file with one host. */
export function fabricOf(text: string): Fabric {
  const directory = mkdtempSync(join(tmpdir(), 'weft-prove-'));
  try {
    writeFileSync(join(directory, 'weft.yaml'), text);
    const { fabric, diagnostics } = checkFile(join(directory, 'weft.yaml'));
    if (fabric === undefined) throw new Error(diagnostics.map(({ message }) => message).join('\n'));
    return fabric;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** With every container attached. */
export function caseOf(fabric: Fabric, change: (state: HostState, facts: HostFacts) => HostState = (state) => state): Case {
  const host = fabric.hosts[0]?.name ?? 'host';
  const facts = assumedFacts(fabric, host);
  const attachments = new Map(fabric.guests.filter(({ kind }) => kind === 'container').map(({ name }) => [name, `/run/netns/${name}`]));
  const state = change(compileHost(fabric, host, facts, { attachments, services: () => [] }), facts);
  return { fabric, host, model: modelOf(state, facts, { bridgedGuests: bridgedGuests(fabric, host) }) };
}

export function proved(text: string, change?: (state: HostState) => HostState): ProofReport {
  const fabric = fabricOf(text);
  const one = caseOf(fabric, change);
  return proveModel(one, { assumed: assumedOuterWorld(fabric, one.host).assumed });
}
