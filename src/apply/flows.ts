/** What a plan opens and closes: proved of Weft's own rules on this host, or by the rules of the file where that is too much. */
import type { Fabric } from '../fabric/model.ts';
import { emptyState } from '../plan/plan.ts';
import type { Surroundings } from '../prove/model/surroundings.ts';
import { differenceOf } from '../prove/questions/difference.ts';
import type { Case } from '../prove/questions/subject.ts';
import { modelOfRecord } from './proof.ts';
import { compareReach, nothingReaches, reachOf, type ReachDifference } from './reach.ts';
import { withAttachments } from './record.ts';
import type { AppliedRecord } from './store.ts';

export interface FlowsOfPlan extends ReachDifference {
  /** `rules`: a rule that another one covers counts too. */
  readonly by: 'proof' | 'rules';
}

/** `before`: the record that stands. Other programs' tables are left out; containers count as attached. */
export function flowsOfPlan(before: AppliedRecord | undefined, record: AppliedRecord, around: Surroundings): FlowsOfPlan {
  const { fabric } = record;
  const { host } = record.state;
  const rules = compareReach(before === undefined ? nothingReaches : reachOf(before.fabric, before.state.host), reachOf(fabric, host));
  const alone = { ...around, tables: [] };
  const now = caseOf(record, alone);
  const nothing = (): Case => {
    const state = emptyState(fabric.name, host);
    return { ...caseOf({ ...record, state }, alone, 'as it is'), fabric: { ...fabric, allow: [], block: [], publish: [] } };
  };
  const proved = differenceOf(before === undefined ? nothing() : caseOf(before, alone), now);
  if (proved === undefined) return { ...rules, by: 'rules' };
  // What a name's answers open nobody knows beforehand.
  const named = new Set([...(before === undefined ? [] : byName(before.fabric)), ...byName(fabric)]);
  const joined = (flows: readonly string[], said: readonly string[]): string[] => [
    ...new Set([...flows, ...said.filter((text) => named.has(text))]),
  ];
  return { ...rules, opened: joined(proved.opened, rules.opened), closed: joined(proved.closed, rules.closed), by: 'proof' };
}

function caseOf(record: AppliedRecord, around: Surroundings, state: 'as it is' | 'all attached' = 'all attached'): Case {
  const containers = record.fabric.guests.filter(({ kind }) => kind === 'container').map(({ name }) => name);
  const detached = containers.filter((name) => record.attachments[name] === undefined);
  const attached = {
    ...record.attachments,
    ...Object.fromEntries(detached.map((name) => [name, { netns: `/run/netns/${name}`, identity: '' }])),
  };
  const whole = state === 'as it is' || detached.length === 0 ? record : withAttachments(record, attached);
  return { fabric: record.fabric, host: record.state.host, model: modelOfRecord(whole, around) };
}

const byName = ({ allow, block }: Fabric): string[] =>
  [...allow, ...block].filter(({ to }) => to.some(({ kind }) => kind === 'domain')).map(({ text }) => text);
