/**
 * Expectations are kept as they are for the prover; here only their names and families are checked, so that a mistyped one, which
 * no packet could match, does not pass as proved.
 */
import type { ExpectEntry, FileModel, Path } from '../config/model.ts';
import type { FlowExpr } from '../config/flow.ts';
import { didYouMean } from './did-you-mean.ts';
import type { Guests } from './guests.ts';
import type { Party } from './model.ts';
import type { Hosts, Networks } from './networks.ts';
import type { ResolveParty } from './parties.ts';
import type { Problems } from './problems.ts';
import { checkFamilies } from './rules.ts';
import { placeOf, resolveSide } from './sides.ts';

export function checkExpectations(
  model: FileModel,
  hosts: Hosts,
  networks: Networks,
  guests: Guests,
  resolveParty: ResolveParty,
  problems: Problems,
): void {
  const families = new Map<Party, number>();
  const check = (flow: FlowExpr, path: Path): void => {
    const from = resolveSide({ resolveParty, problems }, path, flow.from);
    const to = resolveSide({ resolveParty, problems }, path, flow.to);
    checkFamilies({ guests, problems }, from, to, families);
    for (const { party, expr, path: at } of [...from, ...to]) {
      if (party.kind !== 'domain') continue;
      const message = `\`${party.text}\` is a domain name, of which nothing can be expected: which addresses it has is known only when somebody asks; write addresses, or \`internet\`.`;
      problems.error('bad-domain', placeOf(expr, at), message);
    }
  };
  for (const entry of model.expect) {
    if (entry.kind === 'exposed') for (const [i, flow] of entry.flows.entries()) check(flow, [...entry.path, i]);
    else if (entry.kind === 'isolated') checkNetwork(entry, networks, problems);
    else check(entry.flow, entry.path);
    if (entry.kind === 'via' && !hosts.has(entry.through.toLowerCase())) {
      const end = didYouMean(
        entry.through,
        [...hosts.values()].map((host) => host.name),
      );
      problems.error('unknown-host', { path: entry.path }, `there is no host \`${entry.through}\`${end}`);
    }
  }
}

function checkNetwork(entry: ExpectEntry & { readonly kind: 'isolated' }, networks: Networks, problems: Problems): void {
  if (networks.has(entry.network.toLowerCase())) return;
  const end = didYouMean(
    entry.network,
    [...networks.values()].map((network) => network.name),
  );
  problems.error('unknown-network', { path: entry.path }, `there is no network \`${entry.network}\`${end}`);
}
