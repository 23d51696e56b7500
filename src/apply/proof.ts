/** What is proved of a record before anything is changed: the wanted state in the midst of what else is on this host, other programs' tables included. */
import type { HostFacts } from '../hoststate/model.ts';
import type { NftTable } from '../hoststate/nft.ts';
import { isOwnLink } from '../hoststate/observe-links.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { isOwnTable, type Observation } from '../kernel/observe.ts';
import { readRoutingPolicy, type RoutingPolicy } from '../kernel/routing-policy.ts';
import type { KernelModel } from '../prove/kernel-model.ts';
import { bridgedGuests } from '../prove/model/bridged-guests.ts';
import { modelOf } from '../prove/model/model-of.ts';
import { readRules } from '../prove/model/read-rules.ts';
import { surroundingsOfFacts, surroundingsSeen, type Surroundings } from '../prove/model/surroundings.ts';
import type { AppliedRecord } from './store.ts';

/** What is on the host besides Weft. `seen` is missing where the record stood for the observation: then what the facts tell. */
export async function surroundings(
  kernel: Kernel,
  facts: HostFacts,
  foreign: readonly NftTable[],
  seen: Observation | undefined,
): Promise<Surroundings> {
  const links = seen
    ? seen.links.filter((link) => !isOwnLink(link)).map(({ name }) => name)
    : [...new Set([facts.uplink?.name ?? [], ...facts.routes.map(({ link }) => link)].flat())];
  const policy = await readRoutingPolicy(kernel, links.filter(isSysctlName));
  const told = surroundingsOfFacts(facts);
  // Forwarding counts as it was before Weft.
  const sysctls = { ...policy.sysctls, ...told.sysctls };
  if (seen === undefined) return { ...told, rules: rulesOf(policy), sysctls, tables: foreign };
  const { addresses, routes } = seen;
  const host = {
    host: '',
    links: seen.links,
    addresses,
    routes,
    rules: rulesOf(policy),
    neighbors: [],
    fdb: [],
    tables: foreign,
    sysctls,
    missing: [],
  };
  return surroundingsSeen(host, isOwnTable);
}

const rulesOf = ({ rules4, rules6 }: RoutingPolicy): Surroundings['rules'] => [...readRules(rules4, 4), ...readRules(rules6, 6)];

/** Names may hold characters that keys of settings cannot. */
const isSysctlName = (name: string): boolean => /^[A-Za-z0-9_.@:+-]+$/.test(name);

/** The host as it is when this record is made true. */
export function modelOfRecord({ fabric, state, facts }: AppliedRecord, around: Surroundings): KernelModel {
  return modelOf(state, facts, { around, bridgedGuests: bridgedGuests(fabric, state.host) });
}
